/** The session's log as it is written: search, follow, download. */

import type { IRenderMime } from '@jupyterlab/rendermime';
import type { Message } from '@lumino/messaging';
import { Widget } from '@lumino/widgets';

import { ApiError, type SessionApi, words } from './api';
import { button, el } from './dom';
import { LogLines } from './log_lines';
import { type LogEvent, events } from './log_stream';

const FIRST_LINES = 1000;
const TRY_AGAIN_MS = 5000;
/** Pixels above the end from which on somebody reads what was before. */
const BACK = 48;

/** Is connected only while it is seen and follows: a log that is left alone costs nothing. */
export class LogPanel extends Widget {
  private readonly lines: LogLines;
  private readonly state = el('span', { role: 'status', class: 'bai-log-state' });
  private readonly count = el('span', { role: 'status', class: 'bai-log-count' });
  private readonly follow: HTMLInputElement;
  private readonly resized = new ResizeObserver(() => this.toEnd());
  private stop: AbortController | null = null;
  /** What was seen last: the next connection goes on from there. */
  private mark = '';

  constructor(
    private readonly api: SessionApi,
    sanitizer: IRenderMime.ISanitizer
  ) {
    super();
    this.addClass('bai-log');
    this.lines = new LogLines(sanitizer);
    this.follow = el('input', {
      type: 'checkbox',
      change: () => {
        this.toEnd();
        this.connect();
      }
    });
    this.follow.checked = true;
    const search = el('input', {
      type: 'search',
      class: 'jp-mod-styled',
      placeholder: 'Search',
      'aria-label': 'Search in the log',
      input: () => this.seek(search.value),
      keydown: event => this.key(event as KeyboardEvent)
    });
    this.node.append(
      el(
        'div',
        { class: 'bai-log-tools', role: 'toolbar', 'aria-label': 'Log' },
        search,
        this.count,
        button('Previous', () => this.step(-1), { title: 'Shift+Enter in the search' }),
        button('Next', () => this.step(1), { title: 'Enter in the search' }),
        el('label', { title: 'Show new lines as they are written' }, this.follow, 'Follow'),
        el(
          'a',
          { class: 'bai-button jp-mod-styled', href: api.logUrl(10_000), download: 'session.log' },
          'Download'
        ),
        this.state
      ),
      this.lines.node
    );
    // by whatever means: a wheel, a key, the bar, a finger
    this.lines.node.addEventListener('scroll', () => {
      const { scrollHeight, scrollTop, clientHeight } = this.lines.node;
      if (scrollHeight - scrollTop - clientHeight > BACK) {
        this.pause();
      }
    });
    this.resized.observe(this.lines.node);
  }

  override dispose(): void {
    document.removeEventListener('visibilitychange', this.connect);
    this.resized.disconnect();
    this.disconnect();
    super.dispose();
  }

  protected override onAfterAttach(message: Message): void {
    super.onAfterAttach(message);
    document.addEventListener('visibilitychange', this.connect);
    this.connect();
  }

  protected override onAfterShow(message: Message): void {
    super.onAfterShow(message);
    this.toEnd();
    this.connect();
  }

  protected override onAfterHide(message: Message): void {
    super.onAfterHide(message);
    this.connect();
  }

  protected override onActivateRequest(message: Message): void {
    super.onActivateRequest(message);
    this.lines.node.focus();
  }

  /** Connect when it is seen and follows, else disconnect. */
  private readonly connect = (): void => {
    const wanted = this.isVisible && !document.hidden && this.follow.checked;
    if (!wanted) {
      this.disconnect();
      if (!this.follow.checked) {
        this.say('Paused. Tick “Follow” to go on.');
      }
    } else if (!this.stop) {
      this.say('Connecting…');
      this.stop = new AbortController();
      void this.listen(this.stop);
    }
  };

  private async listen(stop: AbortController): Promise<void> {
    const { signal } = stop;
    while (!signal.aborted) {
      let why = 'the connection is lost';
      try {
        const answer = await this.api.log(FIRST_LINES, this.mark, signal);
        this.say('');
        for await (const { kind, text, mark } of events(answer)) {
          this.mark = mark || this.mark;
          this.add(kind, text);
        }
      } catch (error) {
        why = error instanceof ApiError && error.status ? words(error) : why;
      }
      if (!signal.aborted) {
        const because = why.replace(/\.$/, '');
        this.say(`Not connected, so these lines may be old: ${because}. Trying again…`, true);
        await until(signal, TRY_AGAIN_MS);
      }
    }
  }

  private disconnect(): void {
    this.stop?.abort();
    this.stop = null;
  }

  private add(kind: LogEvent['kind'], text: string): void {
    if (kind === 'gap') {
      this.lines.note(text);
    } else {
      this.lines.add(text);
    }
    this.count.textContent = this.lines.told;
    this.toEnd();
  }

  private toEnd(): void {
    if (this.follow.checked) {
      this.lines.node.scrollTop = this.lines.node.scrollHeight;
    }
  }

  /** Whoever looks back wants the lines to stay where they are. */
  private pause(): void {
    const { scrollHeight, clientHeight } = this.lines.node;
    if (this.follow.checked && scrollHeight > clientHeight) {
      this.follow.checked = false;
      this.connect();
    }
  }

  private seek(sought: string): void {
    this.lines.seek(sought);
    this.count.textContent = this.lines.told;
  }

  private step(by: 1 | -1): void {
    this.pause();
    this.lines.step(by);
    this.count.textContent = this.lines.told;
  }

  private key(event: KeyboardEvent): void {
    if (event.key === 'Enter') {
      event.preventDefault();
      this.step(event.shiftKey ? -1 : 1);
    }
  }

  private say(text: string, wrong = false): void {
    this.state.textContent = text;
    this.state.classList.toggle('bai-mod-wrong', wrong);
  }
}

/** Wait so long, or until it is aborted, or the network is back. */
function until(signal: AbortSignal, ms: number): Promise<void> {
  return new Promise(resolve => {
    const over = new AbortController();
    const now = () => {
      window.clearTimeout(timer);
      over.abort();
      resolve();
    };
    const timer = window.setTimeout(now, ms);
    signal.addEventListener('abort', now, { signal: over.signal });
    window.addEventListener('online', now, { signal: over.signal });
  });
}
