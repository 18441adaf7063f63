/** How much time the session has, in the status bar. */

import { Widget } from '@lumino/widgets';

import { el } from './dom';
import { brief, sentences, UNKNOWN } from './limits_words';
import type { TimeLeft } from './time_left';

export class LimitsStatus extends Widget {
  private readonly press: HTMLButtonElement;

  constructor(
    private readonly left: TimeLeft,
    open: () => void
  ) {
    super();
    this.addClass('bai-status');
    this.addClass('bai-time-left');
    this.press = el('button', { type: 'button', click: open });
    this.hide();
    left.changed.connect(() => this.see());
  }

  private see(): void {
    const { time, problem, unknown } = this.left;
    const text = unknown ? UNKNOWN : time ? brief(time, this.left) : '';
    if (!text) {
      this.press.remove();
      this.hide();
      return;
    }
    const warned = time?.warned === true && !unknown;
    this.press.textContent = warned ? `⚠ ${text}` : text;
    this.press.title = problem || (time ? sentences(time, this.left).join('\n') : '');
    this.press.classList.toggle('bai-mod-warning', warned);
    this.press.classList.toggle('bai-mod-old', problem !== '');
    this.node.append(this.press);
    this.show();
  }
}
