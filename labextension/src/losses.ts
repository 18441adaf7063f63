/** What is lost when the session ends, and which of it is copied first. */

import { Widget } from '@lumino/widgets';

import type { Folder, Loss, Losses, Session } from './api';
import { el } from './dom';
import { bytes, count } from './units';

/** What the user chose; nothing is copied when `names` is empty, and everything when null. */
export interface Choice {
  names: string[] | null;
  folder: string;
}

/** The body of the dialog that ends a session. */
export class LossesBody extends Widget {
  private readonly boxes: HTMLInputElement[] = [];
  private readonly all = el('input', { type: 'checkbox' });
  private readonly folder = el('select', { 'aria-label': 'Folder that the copies go to' });

  /**
   * @param losses null when they cannot be told, for the reason `problem`.
   * @param session whose folders can be copied to.
   * @param unsaved whether open files have changes that are in no file.
   * @param copied what came of the last copy, if there was one.
   */
  constructor(
    losses: Losses | null,
    problem: string,
    private readonly session: Session,
    unsaved: boolean,
    copied: string
  ) {
    super({ node: el('div', { class: 'bai-dialog bai-losses' }) });
    const writable = session.folders.filter(folder => folder.writable);
    if (copied) {
      this.say(copied);
    }
    if (unsaved) {
      this.say('Open files have changes that are not saved. They are lost, too.', true);
    }
    if (!losses) {
      this.say(`What will be lost cannot be told: ${problem}`, true);
      this.say('Whatever is outside folders is deleted.');
    } else if (!losses.entries.length) {
      this.say('No file is lost: there is none outside folders. Kernels, terminals and apps end.');
    } else {
      this.list(losses, writable);
    }
  }

  getValue(): Choice {
    const names = this.boxes.filter(box => box.checked).map(box => box.value);
    return { names: this.all.checked ? null : names, folder: this.folder.value };
  }

  private list({ total, files, complete, entries, others }: Losses, writable: Folder[]): void {
    const least = complete ? '' : 'at least ';
    this.say(
      'Kernels, terminals and apps end, and what is outside folders is deleted: ' +
        `${least}${count(files, 'file')}, ${least}${bytes(total)}.`
    );
    const rows = entries.map(entry => el('li', {}, this.row(entry, writable.length > 0)));
    if (others.entries) {
      const how = writable.length ? ', which are copied with everything' : '';
      const more = `and ${others.entries} more${how}`;
      const name = el('span', { class: 'bai-loss-name' }, more);
      rows.push(el('li', { class: 'bai-loss' }, name, el('span', {}, bytes(others.size))));
    }
    const list = el('ul', { 'aria-label': 'What will be lost, the largest first' }, ...rows);
    if (!writable.length) {
      this.node.append(list);
      this.say(
        'No folder that can be written to is mounted, so nothing can be kept here. Download ' +
          'what you need first.'
      );
      return;
    }
    const { all } = this;
    all.addEventListener('change', () => {
      this.boxes.forEach(box => (box.checked = all.checked));
    });
    this.folder.append(...writable.map(({ name }) => el('option', { value: name }, name)));
    this.node.append(
      el('label', { class: 'bai-loss' }, all, el('strong', {}, 'Copy everything first')),
      list,
      el(
        'label',
        { class: 'bai-target' },
        `What is ticked is copied to a new folder, ${this.session.name || 'session'}-DATE, in`,
        this.folder
      )
    );
    this.node.addEventListener('change', () => {
      all.checked = this.boxes.every(box => box.checked);
      this.name();
    });
  }

  private row({ name, kind, size, files, complete }: Loss, choosable: boolean): HTMLElement {
    const what = kind === 'directory' ? `${name}/` : name;
    const least = complete ? '' : 'at least ';
    const told = kind === 'directory' ? `${count(files, 'file')}, ${bytes(size)}` : bytes(size);
    const parts = [
      el('span', { class: 'bai-loss-name' }, what),
      el('span', {}, least + told)
    ];
    if (!choosable) {
      return el('div', { class: 'bai-loss' }, ...parts);
    }
    const box = el('input', { type: 'checkbox', value: name });
    this.boxes.push(box);
    return el('label', { class: 'bai-loss' }, box, ...parts);
  }

  /** The button says what it does. */
  private name(): void {
    const dialog = this.node.closest('.jp-Dialog');
    const { names } = this.getValue();
    const name = names === null || names.length ? 'Copy and terminate' : 'Terminate';
    dialog?.querySelector('button.jp-mod-accept')?.setAttribute('aria-label', name);
    dialog?.querySelector('.jp-mod-accept .jp-Dialog-buttonLabel')?.replaceChildren(name);
  }

  private say(text: string, alarming = false): void {
    this.node.append(el('p', alarming ? { class: 'bai-problem bai-mod-warning' } : {}, text));
  }
}
