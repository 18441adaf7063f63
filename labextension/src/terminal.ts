/** The web terminal: a tab of Lab's, or a window, on the same tmux session. */

import { ILayoutRestorer, ILabShell } from '@jupyterlab/application';
import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ICommandPalette, MainAreaWidget, WidgetTracker } from '@jupyterlab/apputils';
import { ILauncher } from '@jupyterlab/launcher';
import { terminalIcon } from '@jupyterlab/ui-components';

import type { SessionApi } from './api';
import { button, el } from './dom';
import { Frame } from './frame';
import { keep, kept } from './storage';
import { card, CATEGORY, Command, ISessionApi } from './tokens';

/** The browser keeps it for every session of this hub. */
const HINT_DISMISSED = 'bai-spawner:terminal-hint-dismissed';

/** How to copy, in the words of the terminal's greeting, until it has been said often enough. */
function hint(): HTMLElement[] {
  if (kept(HINT_DISMISSED)) {
    return [];
  }
  const key = (name: string) => el('kbd', {}, name);
  const dismiss = button('Got it', () => {
    note.remove();
    keep(HINT_DISMISSED, 'yes');
  });
  const note = el(
    'div',
    { class: 'bai-hint', role: 'note', 'aria-label': 'How to copy' },
    el(
      'span',
      {},
      'To copy, drag over the text: it is in the clipboard when you let go. ',
      // with one of these held, xterm.js keeps a drag from the program in the terminal
      'If that does not work, hold ',
      key('Shift'),
      ' (',
      key('Option'),
      ' on a Mac) while you drag, or press ',
      key('Ctrl-B'),
      ', type ',
      el('code', {}, ':set -g mouse off'),
      ' and Enter, drag, and press ',
      key('Ctrl-C'),
      ' (',
      key('Cmd-C'),
      ' on a Mac).'
    ),
    dismiss
  );
  return [note];
}

function activate(
  app: JupyterFrontEnd,
  api: SessionApi,
  palette: ICommandPalette | null,
  launcher: ILauncher | null,
  labShell: ILabShell | null,
  restorer: ILayoutRestorer | null
): void {
  const tracker = new WidgetTracker<MainAreaWidget<Frame>>({ namespace: 'bai-terminal' });

  const tab = () => {
    const content = new Frame('Terminal', api.terminalPage, ...hint());
    const made = new MainAreaWidget({ content });
    made.id = 'bai-terminal';
    made.title.label = 'Terminal';
    made.title.icon = terminalIcon;
    made.title.closable = true;
    return made;
  };

  const inWindow = () => void window.open(api.terminalPage, '_blank', 'noopener');

  app.commands.addCommand(Command.terminal, {
    label: args => (args['isPalette'] ? 'Open terminal' : 'Terminal (tmux)'),
    caption: 'A terminal (tmux) that goes on when the browser is closed',
    icon: terminalIcon,
    execute: async () => {
      if (!labShell) {
        return inWindow();
      }
      // every view shows the same tmux session: one tab is enough
      const found = tracker.currentWidget ?? tab();
      if (!found.isAttached) {
        await tracker.add(found);
        labShell.add(found, 'main');
      }
      labShell.activateById(found.id);
      return found;
    }
  });
  app.commands.addCommand(Command.terminalWindow, {
    label: 'Open terminal in a new window',
    icon: terminalIcon,
    execute: inWindow
  });

  palette?.addItem({ command: Command.terminal, category: CATEGORY, args: { isPalette: true } });
  palette?.addItem({ command: Command.terminalWindow, category: CATEGORY });
  launcher?.add(card(Command.terminal, 0));
  void restorer?.restore(tracker, { command: Command.terminal, name: () => 'terminal' });
}

const terminal: JupyterFrontEndPlugin<void> = {
  id: 'bai-spawner:terminal',
  description: 'Opens the web terminal.',
  autoStart: true,
  requires: [ISessionApi],
  optional: [ICommandPalette, ILauncher, ILabShell, ILayoutRestorer],
  activate
};

export default terminal;
