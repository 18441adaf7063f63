/** What the session uses: a line in the status bar, a panel, and warnings in time. */

import { ILayoutRestorer } from '@jupyterlab/application';
import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ICommandPalette, Notification } from '@jupyterlab/apputils';
import { IStatusBar } from '@jupyterlab/statusbar';
import { Poll } from '@lumino/polling';

import { type SessionApi, type Usage, words } from './api';
import { usageIcon } from './icons';
import { keep, kept } from './storage';
import { CATEGORY, Command, ISessionApi } from './tokens';
import { UsagePanel } from './usage_panel';
import { UsageStatus } from './usage_status';

const INTERVAL_MS = 5000;
const LONGEST_MS = 15_000;

/** Says what a user should know, once. */
class Warnings {
  /** The notification of a shortage that lasts, whether or not it was closed. */
  private shortage = '';

  /** @param address of the server: what was said of one says nothing of another. */
  constructor(
    private readonly address: string,
    private readonly open: () => void
  ) {}

  /** @param started when the session did: one of the same address counts anew. */
  see({ warning, killed }: Usage, started: string): void {
    if (warning && !this.shortage) {
      this.shortage = Notification.warning(warning.message, this.options());
    } else if (!warning && this.shortage) {
      Notification.dismiss(this.shortage);
      this.shortage = '';
    }
    const told = this.told(started);
    if (killed.count > told) {
      Notification.error(killed.message, this.options());
    }
    if (killed.count !== told) {
      keep(this.key, `${started} ${killed.count}`);
    }
  }

  private options() {
    return {
      autoClose: false as const,
      actions: [{ label: 'Show usage', callback: this.open }]
    };
  }

  /** How many kills this browser has told of: no tab tells what another did. */
  private told(started: string): number {
    const [session, count] = kept(this.key)?.split(' ') ?? [];
    return session === started ? Number(count) : 0;
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
  let started = '';
  const poll = new Poll<Usage, unknown>({
    auto: false,
    name: 'bai-spawner:usage',
    factory: async () => {
      started ||= (await api.session()).started;
      return api.usage();
    },
    frequency: { interval: INTERVAL_MS, backoff: true, max: LONGEST_MS },
    standby: 'when-hidden'
  });
  poll.ticked.connect((_, { phase, payload }) => {
    if (phase === 'resolved') {
      const usage = payload as Usage;
      status.see(usage, '');
      panel.see(usage, '');
      warnings.see(usage, started);
    } else if (phase === 'rejected') {
      status.see(null, words(payload));
      panel.see(null, words(payload));
      // what answers next may be another session
      started = '';
    }
  });
  // before that, nobody shows a notification
  void app.restored.then(() => poll.start());
  const again = () => {
    if (poll.state.phase === 'rejected') {
      void poll.refresh();
    }
  };
  window.addEventListener('online', again);
  // Lab has heard from the server
  app.serviceManager.sessions.runningChanged.connect(again);
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
