// The lines that the page shows, no more than so many: the oldest go first, and are counted.
// While it is paused nothing moves, and what comes waits, no more of it than could be shown.

import { shown, Terminal } from "./ansi.js";

export const MOST_LINES = 5_000;

const element = (line) => {
  const made = document.createElement("div");
  made.append(...shown(line));
  return made;
};

export class Lines {
  #box;
  #terminal = new Terminal();
  #waiting = [];
  #open = null;

  /** What is shown: the text of each line, and its element. */
  shown = [];
  dropped = 0;
  paused = false;
  /** How many lines came since lines were shown last. */
  waiting = 0;

  constructor(box) {
    this.#box = box;
  }

  take(piece) {
    for (const line of this.#terminal.write(piece)) this.#add({ text: line.text, line });
  }

  /** Says something between the lines. */
  say(words) {
    const open = this.#terminal.open;
    if (open) this.#add({ text: open.text, line: open });
    this.#terminal.reset();
    this.#add({ text: "", words });
  }

  #add(entry) {
    this.#waiting.push(entry);
    this.waiting += 1;
    // now and then, as taking away from the front moves all the others
    if (this.#waiting.length > 2 * MOST_LINES) this.#forget();
  }

  #forget() {
    const over = Math.max(0, this.#waiting.length - MOST_LINES);
    this.#waiting.splice(0, over);
    this.dropped += over;
  }

  /** Shows what waits, unless it is paused. */
  show() {
    if (this.paused) return;
    this.#forget();
    this.#open?.element.remove();
    if (this.#open) this.shown.pop();
    const open = this.#terminal.open;
    const entries = this.#waiting.map(({ text, line, words }) => ({
      text,
      element: line ? element(line) : this.#saying(words),
    }));
    this.#waiting = [];
    this.waiting = 0;
    this.#open = open && { text: open.text, element: element(open) };
    if (this.#open) entries.push(this.#open);
    this.#box.append(...entries.map((entry) => entry.element));
    this.shown = this.shown.concat(entries);
    const over = Math.max(0, this.shown.length - MOST_LINES);
    for (const entry of this.shown.splice(0, over)) entry.element.remove();
    this.dropped += over;
  }

  #saying(words) {
    const made = document.createElement("div");
    made.className = "saying";
    made.append(words);
    return made;
  }
}
