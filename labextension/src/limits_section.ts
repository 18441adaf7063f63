/** How much time the session has, as a part of the session's panel. */

import type { Limit } from './api';
import { button, el } from './dom';
import { extension, KEEP, sentences } from './limits_words';
import type { TimeLeft } from './time_left';

export class LimitsSection {
  readonly node: HTMLElement;

  private readonly told = el('div');
  private readonly keep: HTMLButtonElement;
  private readonly extend: HTMLButtonElement;

  constructor(private readonly left: TimeLeft) {
    // they stay when the words change, so that who has reached one by keyboard keeps it
    const ask = (what: Limit) => () => void left.extend(what);
    this.keep = button(KEEP, ask('idle'));
    this.extend = button('', ask('lifetime'));
    const buttons = el('div', { class: 'bai-buttons' }, this.keep, this.extend);
    this.node = el('div', {}, el('h3', {}, 'Time'), this.told, buttons);
    left.changed.connect(() => this.see());
    this.see();
  }

  /** Show how it is by now. */
  see(): void {
    const { time, problem } = this.left;
    const lines = time ? sentences(time, this.left).map(text => el('p', {}, text)) : [];
    const known = lines.length
      ? 'This may have changed since.'
      : 'Whether this session ends by itself is not known now.';
    const note = problem ? [el('p', { class: 'bai-note' }, `${known} ${problem}`)] : [];
    this.told.replaceChildren(...lines, ...note);
    this.node.hidden = !lines.length && !problem;
    this.keep.hidden = !time?.idle?.since;
    const more = time ? extension(time) : '';
    this.extend.hidden = !more;
    this.extend.textContent = more;
  }
}
