// A bar with a name and words: how much of something is taken. The words say what the bar shows,
// for whoever does not see it, or not its colours.

import { make, write } from "./dom.js";

const percent = (part, whole) => `${whole > 0 ? Math.min(100, (100 * part) / whole) : 0}%`;
const set = (element, name, value) => {
  if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value);
};

/**
 * An element for the page, and what draws it anew.
 *
 * `draw({ name, about, words, parts, whole, unit })`: `name` stands above the bar, `about` is what
 * it is called by itself, `parts` are numbers of which each has its piece of `whole`; a `whole` of
 * null has no bar.
 */
export const makeBar = () => {
  const title = make("span", { class: "bai-bar-name" });
  const told = make("span", { class: "bai-bar-words" });
  const bar = make("span", { class: "bai-bar", role: "meter", "aria-valuemin": "0" });
  const element = make("div", { class: "bai-bar-row" }, title, told, bar);
  const draw = ({ name, about, words, parts, whole }) => {
    const taken = parts.reduce((sum, part) => sum + part, 0);
    write(title, name);
    write(told, words);
    bar.hidden = whole === null;
    if (bar.hidden) return;
    set(bar, "aria-label", about);
    set(bar, "aria-valuetext", words);
    // a meter that ends where it begins has no value
    set(bar, "aria-valuemax", Math.max(whole, taken) || 1);
    set(bar, "aria-valuenow", taken);
    while (bar.children.length > parts.length) bar.lastChild.remove();
    while (bar.children.length < parts.length) bar.append(make("span"));
    parts.forEach((part, at) => {
      const width = percent(part, Math.max(whole, taken));
      if (bar.children[at].style.width !== width) bar.children[at].style.width = width;
    });
  };
  return { element, draw };
};
