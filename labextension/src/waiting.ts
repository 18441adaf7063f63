/** A dialog that says what is going on. */

import { Dialog } from '@jupyterlab/apputils';
import { Widget } from '@lumino/widgets';

import { el } from './dom';

/** It is there until it is disposed of, or its user presses its one button. */
export class Waiting {
  /** Whether the button was pressed. */
  stopped = false;

  private readonly told = el('p', { role: 'status', tabindex: '-1' });
  private readonly bar = el('progress', { 'aria-label': 'Done' });
  private readonly dialog: Dialog<unknown>;
  private readonly pressed: Promise<void>;
  private readonly timer: number;

  /**
   * @param title of the dialog.
   * @param text below it.
   * @param stop the button's name; empty: there is none, what goes on cannot be stopped.
   * @param after milliseconds until it is shown: what is over sooner needs no dialog.
   */
  constructor(title: string, text: string, stop: string, after = 0) {
    this.say(text);
    this.dialog = new Dialog({
      title,
      body: new Widget({
        node: el('div', { class: 'bai-dialog bai-waiting' }, this.told, this.bar)
      }),
      buttons: stop ? [Dialog.cancelButton({ label: stop })] : [],
      // without a button the text has the keyboard, so that nothing behind it gets a key
      focusNodeSelector: stop ? '' : 'p',
      hasClose: false
    });
    let press: () => void;
    this.pressed = new Promise(resolve => (press = resolve));
    this.timer = window.setTimeout(() => {
      void this.dialog.launch().then(
        () => {
          this.stopped = true;
          press();
        },
        // disposed of here, when it is over
        () => undefined
      );
    }, after);
  }

  /** What goes on now. */
  say(text: string): void {
    this.told.textContent = text;
  }

  /** How far it is; before that the bar says only that something goes on. */
  show(done: number, total: number): void {
    this.bar.max = Math.max(total, 1);
    this.bar.value = done;
  }

  /** What comes of it; null when its user presses the button before. */
  async for<T>(what: Promise<T>): Promise<T | null> {
    return Promise.race([what, this.pressed.then(() => null)]);
  }

  dispose(): void {
    window.clearTimeout(this.timer);
    this.dialog.dispose();
  }
}

/** Wait so many milliseconds. */
export function pause(length: number): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, length));
}
