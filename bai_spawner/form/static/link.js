// A link that fills in the form (R15). What it says is in the address's fragment, which no
// server is sent: it is read here, put into the form's fields, and launches nothing.

import { make } from "./dom.js";
import { apply, fromFragment, read, toFragment } from "./fields.js";

/** Fills the form from the address, once: the fragment is taken off it. Tells what it did. */
export const fillFromAddress = (form, { notice, folders }) => {
  if (document.querySelector("[data-bai-filled]")) return;  // a refusal: what was typed counts
  const fields = fromFragment(window.location.hash);
  if (fields && !Object.keys(fields).length) return;
  const { pathname, search } = window.location;
  window.history.replaceState(window.history.state, "", pathname + search);
  if (!fields) {
    notice.tell({ text: "Nothing was filled in: the link is too long." });
    return;
  }
  const before = read(form);
  const lines = apply(form, fields, { whole: false, folders });
  const undo = () => {
    apply(form, before, { folders });
    notice.tell({ text: "What the link had filled in was taken back." });
  };
  notice.tell({ text: "Filled in from a link: check it before you launch.", lines, undo });
};

/** The form's fields as a link; who opens it gets a form of their own. */
const linkTo = (form) =>
  `${new URL("../../launch", import.meta.url).href}#${toFragment(read(form))}`;

/** A button that copies the link, or shows it where a page may not write to the clipboard. */
export const copyButton = (form, { notice }) => {
  const button = make(
    "button", { type: "button", class: "btn btn-sm btn-outline-contrast" },
    "Copy a link to this form",
  );
  const box = make("input", {
    type: "text",
    class: "form-control form-control-sm bai-link",
    readonly: true,
    hidden: true,
    "aria-label": "Link to this form",
  });
  button.addEventListener("click", async () => {
    const link = linkTo(form);
    const about = "It has neither the session's name nor the variables' values.";
    try {
      await navigator.clipboard.writeText(link);
      notice.tell({ text: `Copied a link that fills in this form. ${about}` });
    } catch {
      box.value = link;
      box.hidden = false;
      box.focus();
      box.select();
      notice.tell({ text: `Copy the link that is selected. ${about}` });
    }
  });
  return [button, box];
};
