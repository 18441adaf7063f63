/** A compute session, in JupyterLab: one plugin a file. */

import api from './api';
import apps from './apps';
import limits from './limits';
import log from './log';
import openings from './openings';
import session from './session';
import ssh from './ssh';
import terminal from './terminal';
import usage from './usage';

export default [api, apps, limits, log, openings, session, ssh, terminal, usage];
