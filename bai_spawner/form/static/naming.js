// Asks for a name, of a template or of something else, and goes on asking until it could be saved.

import { open } from "./dialog.js";
import { make, write } from "./dom.js";

const LONGEST = 64;  // as the service accepts
const TAKEN = 409;
let asked = 0;

/** Why a template could not be saved. */
const ofTemplate = (error, name) =>
  (error.status === TAKEN ? `There is a template “${name}” already.` : error.message);

/**
 * Resolves to the name under which `save(name, replace)` succeeded, or to null when it was
 * cancelled. What `save` throws is shown, and the dialog stays. With `replaceable`, a name that
 * is taken is asked about, and `replace` is true when the answer was yes. `about` stands below
 * the box; `word(error, name)` says what is wrong.
 */
export const askName = ({
  title, value = "", yes = "SAVE", save, replaceable = false, about = "", word = ofTemplate,
}) =>
  new Promise((resolve) => {
    asked += 1;
    const id = `bai-naming-${asked}`;
    const heading = make("h2", { class: "h5", id: `${id}:title` }, title);
    const box = make("input", {
      type: "text",
      class: "form-control",
      id,
      maxlength: LONGEST,
      autocomplete: "off",
      spellcheck: "false",
      "aria-describedby": `${id}:about ${id}:problem`,
    });
    box.value = value;
    const problem = make("div", { class: "bai-reason", id: `${id}:problem`, role: "alert" });
    const refuse = make("button", { type: "button", class: "btn btn-outline-contrast" }, "Cancel");
    const accept = make("button", { type: "submit", class: "btn btn-primary" }, yes);
    const form = make(
      "form",
      { novalidate: true },
      heading,
      make("label", { class: "form-label", for: id }, "Name"),
      box,
      make("div", { class: "form-text", id: `${id}:about`, hidden: !about }, about),
      problem,
      make("div", { class: "bai-dialog-foot" }, refuse, accept),
    );
    const dialog = make("dialog", { class: "bai-dialog bai-ask", "aria-labelledby": heading.id }, form);
    let taken = null;  // the name of which the page has said that it is taken

    const end = (answer) => {
      dialog.close();
      dialog.remove();
      resolve(answer);
    };
    const told = (text) => {
      write(problem, text);
      write(accept, taken === null ? yes : "REPLACE");
      accept.classList.toggle("btn-danger", taken !== null);
      accept.classList.toggle("btn-primary", taken === null);
    };
    const submit = async (event) => {
      event.preventDefault();
      const name = box.value.trim();
      if (!name) {
        told("A name is needed.");
        return box.focus();
      }
      accept.disabled = true;
      try {
        await save(name, taken === name);
        return end(name);
      } catch (error) {
        const ask = error.status === TAKEN && replaceable;
        taken = ask ? name : null;
        if (ask) told(`There is a template “${name}” already. Replace it, or choose another name.`);
        else told(word(error, name));
        return (ask ? accept : box).focus();
      } finally {
        accept.disabled = false;
        if (taken !== null && dialog.isConnected) accept.focus();
      }
    };
    form.addEventListener("submit", submit);
    box.addEventListener("input", () => {
      taken = null;
      told("");
    });
    refuse.addEventListener("click", () => end(null));
    document.body.append(dialog);
    open(dialog, () => end(null));
    box.select();
  });
