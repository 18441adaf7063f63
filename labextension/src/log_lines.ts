/** The lines of a log on a page: bounded, in colour, searchable. */

import { renderText } from '@jupyterlab/rendermime';
import type { IRenderMime } from '@jupyterlab/rendermime';

import { el } from './dom';

/** More are dropped, the oldest first. */
const MOST_LINES = 5000;
/** As many are dropped at once, so that dropping is rare. */
const PIECE = 500;
/** Characters of a line. */
const LONGEST = 10_000;
/** Characters that are kept of a line whose end has not come. */
const LONGEST_REST = 65_536;
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
    const last = lines.pop()!;
    const [start] = seen(last);
    this.rest = last.slice(start, start + LONGEST_REST);
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
    void renderText({ host, sanitizer: this.sanitizer, source: lines.map(tidy).join('\n') });
    return host;
  }

  /** Mark every occurrence, whatever its case, and stay where it is. */
  seek(sought: string): void {
    this.sought = folded(sought);
    this.at = -1;
    this.mark();
  }

  /** Go to the next or the previous match; the first time to the last one. */
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
    const { length } = this.found;
    if (!length) {
      return 'Not found';
    }
    const all = `${length}${length === MOST_MATCHES ? '+' : ''}`;
    return this.at < 0 ? `${all} ${length === 1 ? 'match' : 'matches'}` : `${this.at + 1} of ${all}`;
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

/** From where to where a line is seen: carriage returns went back to its start. */
function seen(line: string): [number, number] {
  let end = line.length;
  while (end && line[end - 1] === '\r') {
    end -= 1;
  }
  return [end ? line.lastIndexOf('\r', end - 1) + 1 : 0, end];
}

/** A line as it is shown: what was written last into it, and no more of that than has room. */
function tidy(line: string): string {
  const text = line.slice(...seen(line));
  if (text.length <= LONGEST) {
    return text;
  }
  // its colours end with it
  return `${text.slice(0, LONGEST)}\x1b[0m… (this line goes on: see the download)`;
}

/** In lower case and as long: the one letter that would become two (U+0130) counts as an I. */
function folded(text: string): string {
  return text.replaceAll('\u0130', 'I').toLowerCase();
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
    const all = folded(texts.map(text => text.data).join(''));
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
