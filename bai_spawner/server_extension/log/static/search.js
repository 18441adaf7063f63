// Searching the lines that are shown: the text as it is typed, upper and lower case alike.

const MOST_HITS = 5_000;

const folded = (text) => {
  const lower = text.toLowerCase();
  return lower.length === text.length ? lower : text;  // a few letters become two
};

/** Every place of the text in a line. */
function* places(line, text) {
  line.folded ??= folded(line.text);
  for (let at = line.folded.indexOf(text); at >= 0; at = line.folded.indexOf(text, at + text.length)) {
    yield at;
  }
}

/** The characters of a hit, whatever elements they are in. */
const range = ({ line, at }, length) => {
  const walker = document.createTreeWalker(line.element, NodeFilter.SHOW_TEXT);
  const point = (place) => {
    let before = 0;
    walker.currentNode = line.element;
    while (walker.nextNode()) {
      const { length: size } = walker.currentNode.data;
      if (place <= before + size) return [walker.currentNode, place - before];
      before += size;
    }
    return [line.element, line.element.childNodes.length];
  };
  const [startContainer, startOffset] = point(at);
  const [endContainer, endOffset] = point(at + length);
  return new StaticRange({ startContainer, startOffset, endContainer, endOffset });
};

const paint = (name, ranges) => {
  if (!globalThis.CSS?.highlights) return;  // an older browser marks the line alone
  if (ranges.length) CSS.highlights.set(name, new Highlight(...ranges));
  else CSS.highlights.delete(name);
};

export class Search {
  #lines;
  #text = "";
  #hits = [];
  #current = -1;

  constructor(lines) {
    this.#lines = lines;
  }

  set text(text) {
    this.#text = folded(text);
    this.#current = -1;
    this.refresh();
  }

  /** Looks again, as lines came or went; the current hit stays the current one. */
  refresh() {
    const before = this.#hits[this.#current];
    before?.line.element.classList.remove("current");
    this.#hits = [];
    if (this.#text) this.#find();
    this.#current = before
      ? this.#hits.findIndex(({ line, at }) => line === before.line && at === before.at)
      : -1;
    this.#paint();
  }

  #find() {
    for (const line of this.#lines.shown) {
      for (const at of places(line, this.#text)) {
        this.#hits.push({ line, at });
        if (this.#hits.length === MOST_HITS) return;
      }
    }
  }

  /** How many there are, in words. */
  get words() {
    const { length } = this.#hits;
    if (!this.#text) return "";
    if (!length) return "No hits";
    const count = length.toLocaleString("en") + (length === MOST_HITS ? " or more" : "");
    if (this.#current >= 0) return `${(this.#current + 1).toLocaleString("en")} of ${count}`;
    return length === 1 ? "1 hit" : `${count} hits`;
  }

  get any() {
    return this.#hits.length > 0;
  }

  /** Goes to the next hit, or back; the first time to the newest. Gives back its line. */
  go(step) {
    const { length } = this.#hits;
    if (!length) return null;
    this.#hits[this.#current]?.line.element.classList.remove("current");
    this.#current = this.#current < 0 ? length - 1 : (this.#current + step + length) % length;
    this.#paint();
    return this.#hits[this.#current].line.element;
  }

  #paint() {
    const current = this.#hits[this.#current];
    current?.line.element.classList.add("current");
    const { length } = this.#text;
    paint("hit", this.#hits.filter((hit) => hit !== current).map((hit) => range(hit, length)));
    paint("current-hit", current ? [range(current, length)] : []);
  }
}
