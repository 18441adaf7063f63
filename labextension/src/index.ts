/** A compute session, in JupyterLab: one plugin a file. */

import api from './api';
import apps from './apps';
import limits from './limits';
import log from './log';
import session from './session';
import ssh from './ssh';
import terminal from './terminal';
import usage from './usage';

export default [api, apps, limits, log, session, ssh, terminal, usage];
