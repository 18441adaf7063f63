/** How much time the session has: in the status bar, in a warning in time, and for the panel. */

import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { Notification } from '@jupyterlab/apputils';
import { IStatusBar } from '@jupyterlab/statusbar';
import { Poll } from '@lumino/polling';

import { type Limit, type Limits, type SessionApi, type Time, words } from './api';
import { LimitsStatus } from './limits_status';
import { extension, KEEP, warning } from './limits_words';
import { TimeLeft } from './time_left';
import { Command, ISessionApi, ITimeLeft } from './tokens';
import { at } from './units';

const INTERVAL_MS = 15_000;
const LONGEST_MS = 60_000;
const SEEN_MS = 8000;

/** Says that the session ends, for as long as it is so, in one notification. */
class Warning {
  /** The notification, whether or not it was closed. */
  private id = '';
  private said = '';

  constructor(private readonly left: TimeLeft) {
    left.changed.connect(() => this.see());
  }

  private see(): void {
    const { time } = this.left;
    if (!time?.warned || !time.ends || this.isUntrue(time.ends)) {
      if (this.id) {
        Notification.dismiss(this.id);
      }
      this.id = this.said = '';
      return;
    }
    const message = warning(time, time.ends);
    const button = this.button(time);
    const said = `${message} ${button?.label}`;
    if (said === this.said) {
      // with the same words it would come back to who has closed it
      return;
    }
    this.said = said;
    const options = { autoClose: false as const, actions: button ? [button] : [] };
    // one that was closed is not there to be changed
    if (!this.id || !Notification.update({ id: this.id, message, ...options })) {
      this.id = Notification.warning(message, options);
    }
  }

  /** Whether the session goes on after that, and nobody can tell for how long. */
  private isUntrue(ends: string): boolean {
    return this.left.unknown && this.left.isOver(ends);
  }

  /** What keeps the session from ending; null: nothing does. */
  private button(time: Time): Notification.IAction | null {
    const label = time.why === 'idle' ? KEEP : extension(time);
    const what = time.why;
    if (!label || !what) {
      return null;
    }
    const callback = (event: MouseEvent) => {
      // it goes when there is more time, and not before
      event.preventDefault();
      void this.left.extend(what);
    };
    return { label, callback };
  }
}

/** What came of asking for more time. */
function outcome(what: Limit, time: Time | null): string {
  if (what === 'lifetime' && time?.lifetime) {
    return `This session may run on: it ends ${at(time.lifetime.ends)}.`;
  }
  return time?.ends
    ? `This session runs on: it ends ${at(time.ends)} if it is not used.`
    : 'This session runs on.';
}

function activate(
  app: JupyterFrontEnd,
  api: SessionApi,
  statusBar: IStatusBar | null
): TimeLeft {
  let asking = false;
  const left = new TimeLeft(async what => {
    if (asking) {
      return;
    }
    asking = true;
    try {
      const time = await api.extend(what);
      left.become(time);
      Notification.success(outcome(what, time), { autoClose: SEEN_MS });
    } catch (error) {
      Notification.error(`There is no more time now: ${words(error)}`, { autoClose: false });
    } finally {
      asking = false;
    }
  });
  const open = () => void app.commands.execute(Command.session);
  const item = new LimitsStatus(left, open);
  statusBar?.registerStatusItem('bai-spawner:limits', { item, align: 'left', rank: 11 });
  new Warning(left);

  const poll = new Poll<Limits, unknown>({
    auto: false,
    name: 'bai-spawner:limits',
    factory: () => api.limits(),
    frequency: { interval: INTERVAL_MS, backoff: true, max: LONGEST_MS },
    standby: 'when-hidden'
  });
  poll.ticked.connect((_, { phase, payload }) => {
    if (phase === 'resolved' || phase === 'reconnected') {
      left.see(payload as Limits);
    } else if (phase === 'rejected') {
      left.become(left.time, words(payload));
    }
  });
  // before that, nobody shows a notification
  void app.restored.then(() => poll.start());
  // who comes back to this page sees how it is by now
  const again = () => void poll.refresh();
  document.addEventListener('visibilitychange', again);
  window.addEventListener('online', again);
  return left;
}

const limits: JupyterFrontEndPlugin<TimeLeft> = {
  id: 'bai-spawner:limits',
  description: 'Tells how much time the session has, and warns before it ends.',
  autoStart: true,
  requires: [ISessionApi],
  optional: [IStatusBar],
  provides: ITimeLeft,
  activate
};

export default limits;
