/** The session itself: what it is, and its end. */

import { ILabShell, ILabStatus, ILayoutRestorer } from '@jupyterlab/application';
import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ICommandPalette, showErrorMessage } from '@jupyterlab/apputils';
import { PageConfig, URLExt } from '@jupyterlab/coreutils';
import { IMainMenu } from '@jupyterlab/mainmenu';

import { type SessionApi, words } from './api';
import { sessionIcon } from './icons';
import { SessionPanel } from './session_panel';
import { terminate } from './terminate';
import type { TimeLeft } from './time_left';
import { CATEGORY, Command, ISessionApi, ITimeLeft } from './tokens';

const BROWSE = 'filebrowser:go-to-path';
/** After Lab's own ways to leave, before the hub's. */
const MENU_RANK = 98;
/** Below that a panel leaves the main area no room. */
const NARROW_PX = 760;

function activate(
  app: JupyterFrontEnd,
  api: SessionApi,
  left: TimeLeft | null,
  palette: ICommandPalette | null,
  menu: IMainMenu | null,
  labShell: ILabShell | null,
  restorer: ILayoutRestorer | null,
  status: ILabStatus | null
): void {
  const { commands, shell } = app;
  const run = (command: string) => () => void commands.execute(command);
  /** Where there is no room for both, what was opened is what its user wants to see. */
  const leave = () => {
    if (window.innerWidth < NARROW_PX) {
      labShell?.collapseRight();
    }
  };
  const show = (command: string) => () => void commands.execute(command).then(leave);

  const panel = new SessionPanel(api, left, {
    openFolder: path => {
      if (labShell) {
        void commands.execute(BROWSE, { path }).then(leave);
      } else {
        const tree = URLExt.join(PageConfig.getBaseUrl(), 'tree', URLExt.encodeParts(path));
        window.open(tree, '_blank', 'noopener');
      }
    },
    terminal: show(Command.terminal),
    log: show(Command.log),
    ssh: run(Command.ssh),
    usage: run(Command.usage),
    openings: run(Command.openings),
    terminate: run(Command.terminate)
  });
  commands.commandChanged.connect((_, { id }) => {
    if (id === Command.openings) {
      panel.offerOpenings(commands.isVisible(id));
    }
  });
  panel.id = 'bai-session';
  panel.title.icon = sessionIcon;
  panel.title.caption = 'This session';
  shell.add(panel, 'right', { rank: 1000 });
  restorer?.add(panel, panel.id);

  commands.addCommand(Command.session, {
    label: 'Show this session',
    icon: sessionIcon,
    execute: () => shell.activateById(panel.id)
  });

  let asking = false;
  commands.addCommand(Command.terminate, {
    label: 'Terminate Session…',
    caption: 'End this session: says what will be lost, and copies what you want to keep',
    execute: async () => {
      if (asking) {
        return;
      }
      asking = true;
      try {
        await terminate(api, status?.isDirty ?? false);
      } catch (error) {
        await showErrorMessage('The session goes on', words(error));
      } finally {
        asking = false;
      }
    }
  });

  palette?.addItem({ command: Command.session, category: CATEGORY });
  palette?.addItem({ command: Command.terminate, category: CATEGORY });
  menu?.fileMenu.addGroup([{ command: Command.terminate }], MENU_RANK);
}

const session: JupyterFrontEndPlugin<void> = {
  id: 'bai-spawner:session',
  description: 'Tells what this session is, and ends it.',
  autoStart: true,
  requires: [ISessionApi],
  optional: [ITimeLeft, ICommandPalette, IMainMenu, ILabShell, ILayoutRestorer, ILabStatus],
  activate
};

export default session;
