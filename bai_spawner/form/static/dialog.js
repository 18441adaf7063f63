// Dialogs are the browser's own: it keeps the focus inside, and returns it at the end.

import { make } from "./dom.js";

/** Opens a dialog; Escape, and a phone's back gesture, ask `close` instead of closing it. */
export const open = (dialog, close) => {
  dialog.onkeydown = (event) => {
    if (event.key !== "Escape" || event.defaultPrevented) return;
    event.preventDefault();
    close();
  };
  dialog.oncancel = (event) => {
    if (event.target !== dialog) return;
    event.preventDefault();
    close();
  };
  dialog.showModal();
};

let asked = 0;

/**
 * Asks before something is lost; resolves to whether the answer was yes. No has the focus.
 * `more` are elements that stand below the text.
 */
export const ask = ({ title, text, more = [], yes, no = "Cancel", danger = false }) =>
  new Promise((resolve) => {
    asked += 1;
    const heading = make("h2", { class: "h5", id: `bai-ask-${asked}` }, title);
    const about = make("div", { id: `bai-ask-${asked}:about` }, make("p", {}, text), ...more);
    const refuse = make("button", { type: "button", class: "btn btn-outline-contrast" }, no);
    const accept = make(
      "button", { type: "button", class: `btn btn-${danger ? "danger" : "primary"}` }, yes,
    );
    const dialog = make(
      "dialog",
      {
        class: "bai-dialog bai-ask",
        role: "alertdialog",
        "aria-labelledby": heading.id,
        "aria-describedby": about.id,
      },
      heading,
      about,
      make("div", { class: "bai-dialog-foot" }, refuse, accept),
    );
    const end = (answer) => {
      dialog.close();
      dialog.remove();
      resolve(answer);
    };
    refuse.addEventListener("click", () => end(false));
    accept.addEventListener("click", () => end(true));
    document.body.append(dialog);
    open(dialog, () => end(false));
    refuse.focus();
  });
