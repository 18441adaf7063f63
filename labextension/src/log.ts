/** The session's log in a tab of Lab's. */

import { ILayoutRestorer, ILabShell } from '@jupyterlab/application';
import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import {
  ICommandPalette,
  ISanitizer,
  MainAreaWidget,
  Sanitizer,
  WidgetTracker
} from '@jupyterlab/apputils';
import { ILauncher } from '@jupyterlab/launcher';

import type { SessionApi } from './api';
import { logIcon } from './icons';
import { LogPanel } from './log_panel';
import { card, CATEGORY, Command, ISessionApi } from './tokens';

function activate(
  app: JupyterFrontEnd,
  api: SessionApi,
  palette: ICommandPalette | null,
  launcher: ILauncher | null,
  labShell: ILabShell | null,
  restorer: ILayoutRestorer | null,
  sanitizer: ISanitizer | null
): void {
  const tracker = new WidgetTracker<MainAreaWidget<LogPanel>>({ namespace: 'bai-log' });

  const tab = () => {
    const made = new MainAreaWidget({ content: new LogPanel(api, sanitizer ?? new Sanitizer()) });
    made.id = 'bai-log';
    made.title.label = 'Session log';
    made.title.icon = logIcon;
    made.title.closable = true;
    return made;
  };

  app.commands.addCommand(Command.log, {
    label: args => (args['isPalette'] ? 'Show the session log' : 'Session log'),
    caption: 'What the server of this session and its apps have written',
    icon: logIcon,
    execute: async () => {
      if (!labShell) {
        return void window.open(api.logPage, '_blank', 'noopener');
      }
      const found = tracker.currentWidget ?? tab();
      if (!found.isAttached) {
        await tracker.add(found);
        labShell.add(found, 'main');
      }
      labShell.activateById(found.id);
      return found;
    }
  });

  palette?.addItem({ command: Command.log, category: CATEGORY, args: { isPalette: true } });
  launcher?.add(card(Command.log, 1));
  void restorer?.restore(tracker, { command: Command.log, name: () => 'log' });
}

const log: JupyterFrontEndPlugin<void> = {
  id: 'bai-spawner:log',
  description: "Shows the session's log.",
  autoStart: true,
  requires: [ISessionApi],
  optional: [ICommandPalette, ILauncher, ILabShell, ILayoutRestorer, ISanitizer],
  activate
};

export default log;
