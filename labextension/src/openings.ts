/** The session's apps on ports of the host: a dialog to open and close them, and a badge. */

import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { Dialog, ICommandPalette, showDialog } from '@jupyterlab/apputils';
import { ILauncher } from '@jupyterlab/launcher';
import { IStatusBar } from '@jupyterlab/statusbar';
import { Poll } from '@lumino/polling';
import { Widget } from '@lumino/widgets';

import type { SessionApi } from './api';
import { el } from './dom';
import { openingsIcon } from './icons';
import { OpeningsBody } from './openings_body';
import { OpeningsState } from './openings_state';
import { whom } from './openings_words';
import { card, CATEGORY, Command, ISessionApi } from './tokens';
import { count } from './units';

const INTERVAL_MS = 20_000;
const LONGEST_MS = 120_000;

/** Says in the status bar that something is open to the public. */
class Badge extends Widget {
  private readonly press: HTMLButtonElement;

  constructor(
    private readonly state: OpeningsState,
    open: () => void
  ) {
    super();
    this.addClass('bai-status');
    this.press = el('button', { type: 'button', class: 'bai-mod-warning', click: open });
    this.hide();
    state.changed.connect(() => this.see());
  }

  private see(): void {
    const found = this.state.open.filter(one => one.public);
    this.press.textContent = `Public: ${count(found.length, 'app')}`;
    this.press.title = found
      .map(one => `${this.state.title(one.app)} at ${one.url}. ${whom(one)}`)
      .join('\n');
    if (found.length) {
      this.node.append(this.press);
    } else {
      this.press.remove();
    }
    this.setHidden(!found.length);
  }
}

async function show(state: OpeningsState): Promise<void> {
  const loading = state.load(true);
  if (!state.apps.length) {
    await loading;
  }
  await showDialog({
    title: 'Apps on ports',
    body: new OpeningsBody(state),
    focusNodeSelector: 'select',
    // Lab disables what accepts while a field is not as it should be
    buttons: [Dialog.cancelButton({ label: 'Done' })]
  });
}

function activate(
  app: JupyterFrontEnd,
  api: SessionApi,
  palette: ICommandPalette | null,
  launcher: ILauncher | null,
  statusBar: IStatusBar | null
): void {
  const { commands } = app;
  const state = new OpeningsState(api);
  const open = () => void commands.execute(Command.openings);
  statusBar?.registerStatusItem('bai-spawner:openings', {
    item: new Badge(state, open),
    align: 'left',
    rank: 12
  });

  let shown = false;
  commands.addCommand(Command.openings, {
    label: 'Apps on Ports…',
    caption: 'Open an app on a port of its own, for you or for everybody, and close it again',
    icon: openingsIcon,
    isVisible: () => state.isOffered || state.open.length > 0,
    execute: async () => {
      if (shown) {
        return;
      }
      shown = true;
      try {
        await show(state);
      } finally {
        shown = false;
      }
    }
  });

  const poll = new Poll({
    auto: false,
    name: 'bai-spawner:openings',
    factory: async () => {
      await state.load();
      if (state.problem) {
        throw new Error(state.problem);
      }
    },
    frequency: { interval: INTERVAL_MS, backoff: true, max: LONGEST_MS },
    standby: 'when-hidden'
  });
  let offered = false;
  state.changed.connect(() => {
    if (state.told?.offered === false) {
      // there is no app proxy here, or the session is somebody else's: both stay as they are
      void poll.stop();
    }
    if (state.isOffered && !offered) {
      offered = true;
      launcher?.add(card(Command.openings, 3));
      palette?.addItem({ command: Command.openings, category: CATEGORY });
    }
    commands.notifyCommandChanged(Command.openings);
  });
  void app.restored.then(() => poll.start());
  // an app is opened in another tab: who comes back sees what is open by now
  document.addEventListener('visibilitychange', () => {
    if (!document.hidden && poll.state.phase !== 'stopped') {
      void poll.refresh();
    }
  });
}

const openings: JupyterFrontEndPlugin<void> = {
  id: 'bai-spawner:openings',
  description: "Opens the session's apps on ports of the host, and says which are public.",
  autoStart: true,
  requires: [ISessionApi],
  optional: [ICommandPalette, ILauncher, IStatusBar],
  activate
};

export default openings;
