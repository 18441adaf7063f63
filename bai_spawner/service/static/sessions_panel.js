// A dialog that shows something, and asks nothing: it has a heading, and a button that closes it.

import { open } from "./dialog.js";
import { make } from "./dom.js";

let shown = 0;

/** Opens one with these elements in it; resolves when it was closed. */
export const showPanel = (title, ...content) =>
  new Promise((resolve) => {
    shown += 1;
    const heading = make("h2", { class: "h5", id: `bai-panel-${shown}` }, title);
    const cross = make("button", { type: "button", class: "btn-close", "aria-label": "Close" });
    const dialog = make(
      "dialog",
      { class: "bai-dialog bai-panel", "aria-labelledby": heading.id },
      make("div", { class: "bai-dialog-head" }, heading, cross),
      ...content,
    );
    const close = () => {
      dialog.close();
      dialog.remove();
      resolve();
    };
    cross.addEventListener("click", close);
    dialog.addEventListener("click", ({ target, clientX, clientY }) => {
      const box = dialog.getBoundingClientRect();
      const isInside = clientX >= box.left && clientX <= box.right
        && clientY >= box.top && clientY <= box.bottom;
      if (target === dialog && !isInside) close();
    });
    document.body.append(dialog);
    open(dialog, close);
  });
