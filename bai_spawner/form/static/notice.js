// What was just done, in words, with a way to undo it. Screen readers say it when they are free.

import { make } from "./dom.js";

/**
 * An element for the page, and what writes into it.
 *
 * `tell({ text, lines, undo, links })`: `lines` are what else there is to know; `undo` is what
 * the Undo button calls, once; `links` are elements to go on with.
 */
export const makeNotice = () => {
  // it stays in the page while it is empty: a region that just came is not listened to
  const element = make("div", { class: "bai-notice", role: "status", "aria-live": "polite" });
  const tell = ({ text, lines = [], undo, links = [] }) => {
    const parts = [make("span", { class: "bai-notice-text" }, text)];
    if (undo) {
      const button = make("button", { type: "button", class: "btn btn-sm btn-outline-contrast" }, "Undo");
      button.addEventListener("click", () => {
        button.disabled = true;
        undo();
      });
      parts.push(button);
    }
    parts.push(...links);
    const box = make("div", { class: `alert alert-${lines.length ? "warning" : "info"}` }, ...parts);
    if (lines.length) box.append(make("ul", {}, ...lines.map((line) => make("li", {}, line))));
    element.replaceChildren(box);
  };
  return { element, tell };
};
