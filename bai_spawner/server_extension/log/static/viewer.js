// A log to read, and a search through it. It shows what came last until somebody reads further
// up, or goes to a hit: nothing moves then.
//
// The page brings the places; these elements are made here, so that every page has the same.

import { Lines, MOST_LINES } from "./lines.js";
import { Search } from "./search.js";

const NEAR = 48;
const LONGEST_SEARCH = 200;

const make = (tag, attributes, ...children) => {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
};
const button = (id, text) => make("button", { class: "tool", id, type: "button", disabled: "" }, text);

/** Writes a text where it differs: a live region that did not change says nothing. */
export const write = (element, text) => {
  if (element.textContent !== text) element.textContent = text;
};
/** The same, for what is not there while it says nothing. */
export const writeOrHide = (element, text) => {
  write(element, text);
  element.hidden = !text;
};
export const many = (count, what) => `${count.toLocaleString("en")} ${what}${count === 1 ? "" : "s"}`;

/**
 * Puts a log at the end of `place`, and a search at the end of `tools`; calls `drawn()` after
 * what is shown, or whether it moves, has changed.
 *
 * `lines` takes what is written, `draw()` shows it within a frame, however often it is called,
 * and `pause(on)` has it stand still, or go on.
 */
export const makeViewer = ({ tools, place, drawn }) => {
  const box = make("div", { id: "log", role: "log", "aria-live": "off", "aria-label": "Log", tabindex: "0" });
  const text = make("input", {
    class: "tool", id: "search", type: "search", maxlength: LONGEST_SEARCH, autocomplete: "off",
    spellcheck: "false", "aria-describedby": "hits",
  });
  const hits = make("output", { id: "hits", for: "search" });
  const steps = [[button("previous", "Previous"), -1], [button("next", "Next"), 1]];
  const label = make("label", { for: "search" }, "Search");
  tools.append(make("div", { class: "search", role: "search" }, label, text, hits, ...steps.map(([step]) => step)));
  place.append(box);

  const lines = new Lines(box);
  const search = new Search(lines);
  let drawing = 0;

  const toTheEnd = () => {
    if (!lines.paused) box.scrollTop = box.scrollHeight;
  };
  const searched = () => {
    write(hits, search.words);
    for (const [step] of steps) step.disabled = !search.any;
  };
  const draw = () => {
    drawing ||= requestAnimationFrame(() => {
      drawing = 0;
      if (!lines.paused) {
        lines.show();
        search.refresh();
        searched();
        toTheEnd();
      }
      drawn();
    });
  };
  const pause = (paused) => {
    lines.paused = paused;
    draw();
  };
  const go = (step) => {
    const found = search.go(step);
    if (!found) return;
    pause(true);
    found.scrollIntoView({ block: "center" });
    searched();
  };

  // who scrolls back reads
  box.addEventListener("scroll", () => {
    const below = box.scrollHeight - box.scrollTop - box.clientHeight;
    if (!lines.paused && below > NEAR) pause(true);
  });
  new ResizeObserver(toTheEnd).observe(box);
  text.addEventListener("input", () => {
    search.text = text.value;
    searched();
  });
  text.addEventListener("keydown", (event) => {
    if (event.key === "Enter") go(event.shiftKey ? -1 : 1);
  });
  for (const [element, step] of steps) element.addEventListener("click", () => go(step));
  return { lines, draw, pause };
};

/** What a page says of lines that it dropped; empty where it shows all. */
export const aboutDropped = ({ dropped }) => (dropped
  ? `Older lines are not shown: the page has room for ${MOST_LINES.toLocaleString("en")}.` : "");
