/** The lines of a log on a page: bounded, in colour, searchable. */

import { renderText } from '@jupyterlab/rendermime';
import type { IRenderMime } from '@jupyterlab/rendermime';

import { el } from './dom';

/** More are dropped, the oldest first. */
const MOST_LINES = 5000;
/** As many are dropped at once, so that dropping is rare. */
const PIECE = 500;
const MOST_MATCHES = 1000;
const HIGHLIGHT = 'bai-log-match';
const CURRENT = 'bai-log-current';

/** Lines are added at the end; what is found in them is marked. */
export class LogLines {
  readonly node = el('div', {
    // Lab's colours for ANSI codes are for what is inside this class
    class: 'bai-log-lines jp-RenderedText',
    tabindex: '0',
    role: 'log',
    'aria-live': 'off',
    'aria-label': 'Lines of the log'
  });

  /** The last line, as long as its end has not come, and where it is shown. */
  private rest = '';
  private restNode: HTMLElement | null = null;
  private sought = '';
  private found: Range[] = [];
  private at = -1;

  constructor(private readonly sanitizer: IRenderMime.ISanitizer) {}

  /** Say something between the lines. */
  note(text: string): void {
    [this.rest, this.restNode] = ['', null];
    this.node.append(el('p', { class: 'bai-log-note', 'data-lines': '1' }, text));
  }

  /** Add text. It may end within a line, which the next text goes on with. */
  add(text: string): void {
    const lines = (this.rest + text).split('\n');
    this.restNode?.remove();
    this.rest = lines.pop()!;
    for (let from = 0; from < lines.length; from += PIECE) {
      this.show(lines.slice(from, from + PIECE));
    }
    this.restNode = this.rest ? this.show([this.rest]) : null;
    this.drop();
    this.mark();
  }

  private show(lines: string[]): HTMLElement {
    const host = el('div', { 'data-lines': String(lines.length) });
    this.node.append(host);
    // it is done when it returns, whatever it returns
    void renderText({ host, sanitizer: this.sanitizer, source: lines.join('\n') });
    return host;
  }

  /** Mark every occurrence, whatever its case; the last one is the current one. */
  seek(sought: string): void {
    this.sought = sought.toLowerCase();
    this.at = -1;
    this.mark();
    this.step(-1);
  }

  /** Go to the next or the previous match. */
  step(by: 1 | -1): void {
    const size = this.found.length;
    if (!size) {
      return;
    }
    this.at = this.at < 0 ? size - 1 : (this.at + by + size) % size;
    const range = this.found[this.at]!;
    highlight(CURRENT, [range]);
    const place = range.startContainer.parentElement;
    place?.scrollIntoView({ block: 'nearest' });
    const box = range.getBoundingClientRect();
    const view = this.node.getBoundingClientRect();
    this.node.scrollTop += box.top - view.top - view.height / 2;
  }

  /** What was found, in words; empty when nothing is sought. */
  get told(): string {
    if (!this.sought) {
      return '';
    }
    const more = this.found.length === MOST_MATCHES ? '+' : '';
    return this.found.length ? `${this.at + 1} of ${this.found.length}${more}` : 'Not found';
  }

  private drop(): void {
    let total = 0;
    const pieces = [...this.node.children] as HTMLElement[];
    for (const piece of pieces.reverse()) {
      total += Number(piece.dataset['lines']);
      if (total > MOST_LINES) {
        piece.remove();
      }
    }
  }

  private mark(): void {
    this.found = this.sought ? matches(this.node, this.sought) : [];
    this.at = Math.min(this.at, this.found.length - 1);
    highlight(HIGHLIGHT, this.found);
    const current = this.found[this.at];
    highlight(CURRENT, current ? [current] : []);
  }
}

/** Where the text is, piece by piece, also across the colours inside a line. */
function matches(node: HTMLElement, sought: string): Range[] {
  const found: Range[] = [];
  for (const piece of node.children) {
    const texts: Text[] = [];
    const walker = document.createTreeWalker(piece, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
      texts.push(walker.currentNode as Text);
    }
    const all = texts.map(text => text.data).join('').toLowerCase();
    let [index, before] = [0, 0];
    /** The text node of a position, and the position in it. */
    const place = (position: number): [Text, number] => {
      while (position > before + texts[index]!.length) {
        before += texts[index++]!.length;
      }
      return [texts[index]!, position - before];
    };
    const next = (after: number) => all.indexOf(sought, after);
    for (let from = next(0); from >= 0; from = next(from + sought.length)) {
      if (found.length === MOST_MATCHES) {
        return found;
      }
      const range = new Range();
      range.setStart(...place(from));
      range.setEnd(...place(from + sought.length));
      found.push(range);
    }
  }
  return found;
}

/** Mark ranges; a browser that cannot do that still goes to them. */
function highlight(name: string, ranges: Range[]): void {
  if ('highlights' in CSS) {
    CSS.highlights.set(name, new Highlight(...ranges));
  }
}
