// Which sessions are selected, to be terminated together.

import { byId, write } from "./dom.js";
import { shownRows } from "./sessions_list.js";

const bar = byId("bai-choice");
const all = byId("bai-choose-all");
const button = byId("bai-terminate");

const choosable = () => shownRows().filter(({ pick }) => !pick.disabled);
/** The sessions that are selected now. */
export const chosen = () =>
  choosable().filter(({ pick }) => pick.checked).map(({ shown }) => shown);

/** Draws what belongs to it; to be called whenever the list was drawn. */
export const drawChoice = () => {
  const may = choosable();
  const count = chosen().length;
  bar.hidden = !may.length;
  all.checked = count > 0 && count === may.length;
  all.indeterminate = count > 0 && count < may.length;
  button.disabled = !count;
  write(button.querySelector("span"), count ? `TERMINATE ${count}` : "TERMINATE");
};

const choose = (on) => {
  for (const { pick } of choosable()) pick.checked = on;
  drawChoice();
};

/** `terminate(sessions)` asks, and ends them. */
export const prepareChoice = (terminate) => {
  byId("bai-list").addEventListener("change", drawChoice);
  all.addEventListener("change", () => choose(all.checked));
  button.addEventListener("click", () => terminate(chosen()));
};
