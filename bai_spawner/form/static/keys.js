// Arrows turn pages and Enter goes on, unless what has the focus needs the key itself.

import { form, launchButton } from "./form.js";
import { backward, forward } from "./pages.js";

const typed = "textarea, select, input:not([type=radio], [type=checkbox])";
const mayTurn = ({ target: at, altKey }) => {
  if (altKey) return !at.closest(typed);
  return at === document.body || (form.contains(at) && !at.closest("input, select, textarea"));
};

const onKey = (event) => {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.shiftKey) return;
  if (document.querySelector("dialog[open]")) return;
  const turn = { ArrowLeft: backward, ArrowRight: forward }[event.key];
  if (turn && mayTurn(event) && turn()) event.preventDefault();
  // no field, button or link has the focus; in a field Enter presses Next by itself
  const at = event.target;
  const free = at === document.body || (form.contains(at) && at.tabIndex === -1);
  if (event.key === "Enter" && !event.altKey && !event.repeat && free) {
    event.preventDefault();
    if (!forward()) form.requestSubmit(launchButton);
  }
};

export const listenToKeys = () => document.addEventListener("keydown", onKey);
