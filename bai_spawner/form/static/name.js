// The session's name: whether it can be had, how several sessions are called, a word to draw.
//
// A blank name is sent as it is: the server draws a word then, and another one should it be taken
// meanwhile, and the next page shows it. Who wants to see the word first has it drawn here.

import { byId, describe, make, write } from "./dom.js";
import { changed, count, field, rules, sessionNames } from "./form.js";
import { live, onLive } from "./live.js";
import { judge } from "./problems.js";
import { refresh } from "./pages.js";

const { longest, words } = rules.session_name;
const SHOWN = 3;
/** What may stand before a number: with it, four characters are enough. */
const NUMBERED = "[A-Za-z0-9]{3,}";
const box = field("session_name");
const status = make("div", { class: "form-text", id: "bai-session_name:status", role: "status" });

const check = () => {
  const names = sessionNames();
  const taken = names.filter((name) => live().names.includes(name));
  const long = names.find((name) => name.length > longest);
  if (long) return `with its number a name has ${long.length} characters; at most ${longest} are accepted`;
  if (!taken.length) return "";
  return `${taken.join(", ")}: ${taken.length > 1 ? "names" : "the name"} of a live session of yours`;
};

const tell = () => {
  const names = sessionNames();
  const some = names.length > SHOWN
    ? `${names.slice(0, SHOWN - 1).join(", ")} … ${names.at(-1)}`
    : names.join(", ");
  if (!names.length) write(status, count() > 1 ? `${count()} sessions: the word and a number each.` : "");
  else if (!box.validity.valid) write(status, "");
  else if (names.length > 1) write(status, `${names.length} sessions: ${some}`);
  else write(status, `${some} is free.`);
};

const draw = () => {
  const free = words.filter((word) => word !== box.value && !live().names.includes(word));
  if (!free.length) return;
  box.value = free[Math.floor(Math.random() * free.length)];
  changed(box);
};

export const prepareName = () => {
  const button = make(
    "button",
    { type: "button", class: "btn btn-outline-contrast", id: "bai-draw" },
    make("i", { class: "fa-solid fa-dice", "aria-hidden": "true" }),
    " Draw a word",
  );
  const group = make("div", { class: "input-group" });
  box.before(group);
  group.append(box, button);
  button.addEventListener("click", draw);
  byId("bai-session_name:help").before(status);
  describe(box, status.id);
  const { pattern } = box;
  judge(() => {
    box.pattern = count() > 1 ? NUMBERED : pattern;
    box.setCustomValidity(check());
  });
  // the server takes the blanks around a name away; the pattern does not
  box.addEventListener("change", () => {
    box.value = box.value.trim();
    refresh();
  });
  box.form.addEventListener("input", () => setTimeout(tell));  // when it was judged
  onLive(tell);
  window.addEventListener("pageshow", tell);
};
