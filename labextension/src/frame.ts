/** A page of this session in a tab of Lab's. */

import type { Message } from '@lumino/messaging';
import { Widget } from '@lumino/widgets';

import { el } from './dom';

/** Shows a page of the same server, below what `above` says, and gives it the keyboard. */
export class Frame extends Widget {
  private readonly frame: HTMLIFrameElement;

  /**
   * @param name what the page is called.
   * @param url its address.
   * @param above shown above it.
   */
  constructor(name: string, url: string, ...above: HTMLElement[]) {
    super();
    this.addClass('bai-frame');
    this.frame = el('iframe', { title: name, src: url, allow: 'clipboard-write' });
    // Lab learns of a click into the page as it does of one into a notebook
    this.frame.addEventListener('load', () => {
      this.frame.contentWindow?.addEventListener('focus', () => {
        this.node.dispatchEvent(new FocusEvent('focus', { bubbles: false }));
      });
    });
    this.node.append(...above, this.frame);
  }

  protected override onActivateRequest(message: Message): void {
    super.onActivateRequest(message);
    this.frame.focus();
    this.frame.contentDocument?.querySelector('textarea')?.focus();
  }
}
