/** What the session uses: a line in the status bar, a panel, and warnings in time. */

import { ILayoutRestorer } from '@jupyterlab/application';
import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ICommandPalette, Notification } from '@jupyterlab/apputils';
import { IStatusBar } from '@jupyterlab/statusbar';
import { Poll } from '@lumino/polling';

import { type SessionApi, type Usage, words } from './api';
import { usageIcon } from './icons';
import { CATEGORY, Command, ISessionApi } from './tokens';
import { UsagePanel } from './usage_panel';
import { UsageStatus } from './usage_status';

const INTERVAL_MS = 5000;
const LONGEST_MS = 60_000;

/** Says what a user should know, once. */
class Warnings {
  private warned = false;

  /** @param address of the server: what was said of one session says nothing of another. */
  constructor(
    private readonly address: string,
    private readonly open: () => void
  ) {}

  see({ warning, killed }: Usage): void {
    if (warning && !this.warned) {
      Notification.warning(warning.message, { autoClose: false, actions: this.actions() });
    }
    this.warned = warning !== null;
    if (killed.count > this.told) {
      Notification.error(killed.message, { autoClose: false, actions: this.actions() });
    }
    this.told = killed.count;
  }

  private actions() {
    return [{ label: 'Show usage', callback: this.open }];
  }

  /** How many kills this browser has told of; a page that is loaded again tells no kill twice. */
  private get told(): number {
    return Number(sessionStorage.getItem(this.key) ?? 0);
  }

  private set told(count: number) {
    sessionStorage.setItem(this.key, String(count));
  }

  private get key(): string {
    return `bai-spawner:killed:${this.address}`;
  }
}

function activate(
  app: JupyterFrontEnd,
  api: SessionApi,
  palette: ICommandPalette | null,
  statusBar: IStatusBar | null,
  restorer: ILayoutRestorer | null
): void {
  const panel = new UsagePanel();
  panel.id = 'bai-usage';
  panel.title.icon = usageIcon;
  panel.title.caption = 'Usage of this session';
  app.shell.add(panel, 'right', { rank: 1100 });
  restorer?.add(panel, panel.id);

  const open = () => void app.commands.execute(Command.usage);
  app.commands.addCommand(Command.usage, {
    label: 'Show usage of this session',
    icon: usageIcon,
    execute: () => app.shell.activateById(panel.id)
  });
  palette?.addItem({ command: Command.usage, category: CATEGORY });

  const status = new UsageStatus(open);
  statusBar?.registerStatusItem('bai-spawner:usage', { item: status, align: 'left', rank: 10 });

  const warnings = new Warnings(api.address(''), open);
  const poll = new Poll<Usage, unknown>({
    name: 'bai-spawner:usage',
    factory: () => api.usage(),
    frequency: { interval: INTERVAL_MS, backoff: true, max: LONGEST_MS },
    standby: 'when-hidden'
  });
  poll.ticked.connect((_, { phase, payload }) => {
    if (phase === 'resolved') {
      const usage = payload as Usage;
      warnings.see(usage);
      status.see(usage, '');
      panel.see(usage, '');
    } else if (phase === 'rejected') {
      status.see(null, words(payload));
      panel.see(null, words(payload));
    }
  });
}

const usage: JupyterFrontEndPlugin<void> = {
  id: 'bai-spawner:usage',
  description: 'Shows how much of the allocation is in use, and warns in time.',
  autoStart: true,
  requires: [ISessionApi],
  optional: [ICommandPalette, IStatusBar, ILayoutRestorer],
  activate
};

export default usage;
