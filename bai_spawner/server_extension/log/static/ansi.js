// What a program writes for a terminal, as lines of text with colours: bold and its like, the 16
// colours, 256 of them, or any. A carriage return goes back to the start of the line, where what
// follows takes the place of what is there. Every other sequence and control character is left
// out. Nothing here is markup: what comes out is text.
//
// Source: ECMA-48, and xterm's control sequences for what it leaves open.

export const MOST_LENGTH = 10_000;
const MOST_PENDING = 1024;

const PLAIN = Object.freeze({});
const CONTROL = /[\x00-\x1f\x7f-\x9f]/g;
// CSI; OSC, DCS and their like up to their end; the short ones
const ESCAPE =
  /\x1b(?:\[([0-?]*)([ -/]*)([@-~])|[\]PX^_][^\x07\x1b\n]*(?:\x07|\x1b\\)|[ -/]*[0-OQ-WYZ\\`-~])/y;

const FLAGS = { 1: "bold", 2: "dim", 3: "italic", 4: "underline", 7: "inverse" };
const ENDED = { 22: ["bold", "dim"], 23: ["italic"], 24: ["underline"], 27: ["inverse"] };

const hex = (...parts) => `#${parts.map((part) => part.toString(16).padStart(2, "0")).join("")}`;
const isByte = (number) => Number.isInteger(number) && number >= 0 && number <= 255;

/** One of 256 colours: a number of the first 16, which the page decides on, or its value. */
const indexed = (number) => {
  if (!isByte(number)) return undefined;
  if (number < 16) return number;
  if (number >= 232) return hex(...Array(3).fill(8 + 10 * (number - 232)));
  const cube = number - 16;
  const levels = [Math.floor(cube / 36), Math.floor(cube / 6) % 6, cube % 6];
  return hex(...levels.map((level) => (level ? 55 + 40 * level : 0)));
};

/** The colour that begins after 38 or 48, taken from the numbers; undefined when it is none. */
const extended = (numbers) => {
  const kind = numbers.shift();
  if (kind === 5) return indexed(numbers.shift());
  if (kind !== 2) return undefined;
  const parts = numbers.splice(0, 3);
  return parts.length === 3 && parts.every(isByte) ? hex(...parts) : undefined;
};

/** "38;2;1;2;3" are five numbers; "38:2::1:2:3" is one that has its own, a colour space left out. */
const numbered = (field) => {
  if (!field.includes(":")) return Number(field);
  return field.split(":").filter((part, at) => part || at !== 2).map(Number);
};

/** The style after a sequence of numbers, each of which changes something or nothing. */
const restyled = (style, parameters) => {
  const next = { ...style };
  const fields = parameters.split(";").map(numbered);
  while (fields.length) {
    const field = fields.shift();
    const [number, more] = Array.isArray(field) ? [field.shift(), field] : [field, fields];
    if (number === 0) for (const name of Object.keys(next)) delete next[name];
    else if (FLAGS[number]) next[FLAGS[number]] = true;
    else if (ENDED[number]) for (const name of ENDED[number]) delete next[name];
    else if (number >= 30 && number <= 37) next.fg = number - 30;
    else if (number >= 40 && number <= 47) next.bg = number - 40;
    else if (number >= 90 && number <= 97) next.fg = number - 82;
    else if (number >= 100 && number <= 107) next.bg = number - 92;
    else if (number === 38) next.fg = extended(more) ?? next.fg;
    else if (number === 48) next.bg = extended(more) ?? next.bg;
    else if (number === 39) delete next.fg;
    else if (number === 49) delete next.bg;
  }
  return Object.keys(next).length ? next : PLAIN;
};

/** A terminal of one line. Colours go on over lines and pieces, as they do in any other. */
export class Terminal {
  #style = PLAIN;
  #pending = "";
  #characters = [];
  #styles = [];
  #cursor = 0;
  #cut = 0;

  /** Takes a piece of text, which may end anywhere, and gives back the lines that it ends. */
  write(piece) {
    const text = this.#pending + piece;
    const ended = [];
    this.#pending = "";
    for (let at = 0; at < text.length; ) {
      CONTROL.lastIndex = at;
      const next = CONTROL.exec(text)?.index ?? text.length;
      this.#put(text.slice(at, next));
      at = next + 1;
      const control = text[next];
      if (control === "\n") ended.push(this.#end());
      else if (control === "\r") this.#cursor = 0;
      else if (control === "\b") this.#cursor = Math.max(0, this.#cursor - 1);
      else if (control === "\t") this.#put(control);
      else if (control === "\x1b") at = this.#escape(text, next);
    }
    return ended;
  }

  /** The line that has not ended; null when there is nothing of it. */
  get open() {
    return this.#characters.length ? this.#line() : null;
  }

  /** Forgets what has not ended. */
  reset() {
    this.#style = PLAIN;
    this.#pending = "";
    this.#end();
  }

  /** Where the text goes on after the sequence that begins there. */
  #escape(text, at) {
    ESCAPE.lastIndex = at;
    const found = ESCAPE.exec(text);
    if (found) {
      this.#obey(found);
      return ESCAPE.lastIndex;
    }
    const rest = text.slice(at);
    if (rest.length > MOST_PENDING || rest.includes("\n")) return at + 1;
    this.#pending = rest;
    return text.length;
  }

  #obey([, parameters, between, final]) {
    if (between || /[<=>?]/.test(parameters ?? "")) return;
    if (final === "m") this.#style = restyled(this.#style, parameters);
    if (final !== "K") return;
    if (!Number(parameters)) this.#keep(this.#cursor);
    else if (parameters === "2") this.#keep(0);
  }

  #keep(count) {
    this.#characters.length = Math.min(count, this.#characters.length);
    this.#styles.length = this.#characters.length;
    this.#cut = 0;
  }

  #put(text) {
    for (const character of text) {
      if (this.#cursor >= MOST_LENGTH) {
        this.#cut += 1;
        continue;
      }
      // what was erased before the cursor is blank
      while (this.#characters.length < this.#cursor) this.#set(this.#characters.length, " ");
      this.#set(this.#cursor, character);
      this.#cursor += 1;
    }
  }

  #set(at, character) {
    this.#characters[at] = character;
    this.#styles[at] = this.#style;
  }

  /** A line: its text, runs of one style each, and how many characters of it were left out. */
  #line() {
    const runs = [];
    this.#characters.forEach((character, at) => {
      const last = runs.at(-1);
      if (last?.style === this.#styles[at]) last.text += character;
      else runs.push({ style: this.#styles[at], text: character });
    });
    return { text: this.#characters.join(""), runs, cut: this.#cut };
  }

  #end() {
    const line = this.#line();
    [this.#characters, this.#styles, this.#cursor, this.#cut] = [[], [], 0, 0];
    return line;
  }
}

/** Text, or an element of one style with text in it. */
const drawn = ({ style, text }) => {
  if (style === PLAIN) return text;
  const span = document.createElement("span");
  let { fg, bg } = style;
  if (style.inverse) [fg, bg] = [bg ?? "ground", fg ?? "text"];
  for (const name of ["bold", "dim", "italic", "underline"]) {
    if (style[name]) span.classList.add(name);
  }
  const colour = (value, kind, property) => {
    if (value === undefined) return;
    if (String(value).startsWith("#")) span.style.setProperty(property, value);
    else span.classList.add(`${kind}-${value}`);
  };
  if (bg !== undefined) span.classList.add("on");
  colour(bg, "bg", "background-color");
  colour(fg, "fg", "color");
  span.append(text);
  return span;
};

/** What shows a line: strings, which become text, and elements. */
export const shown = (line) => {
  const parts = line.runs.map(drawn);
  if (line.cut) parts.push(` … (${line.cut.toLocaleString("en")} more characters)`);
  return parts;
};
