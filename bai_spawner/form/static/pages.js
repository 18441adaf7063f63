// The form's pages, one at a time (R1). Which page is shown is in the history's state: the
// address, its fragment too, is never touched.

import { byId, says, target } from "./dom.js";
import { form, launchButton, pageOf, pages, review } from "./form.js";
import { face, problems, remark } from "./problems.js";
import { drawReview } from "./review.js";

const steps = byId("bai-pages");
const backButton = byId("bai-back");
const blocked = byId("bai-blocked");
const unvisited = byId("bai-unvisited");
const visited = new Set("baiFilled" in steps.dataset ? pages : [review]);
const kept = {};
let current = pages[0];

export const nextButton = byId("bai-next");

// ---- one press, one launch; a page that comes back from history can be sent again
let launchLabel = "LAUNCH";
export const sending = (on) => {
  launchButton.disabled = on;
  launchButton.textContent = on ? "LAUNCHING…" : launchLabel;
};

// ---- what is shown
const drawSteps = (found) => {
  for (const link of steps.querySelectorAll("a")) {
    const page = target(link);
    const bad = visited.has(page) && found.some((problem) => pageOf(problem.field) === page);
    link.classList.toggle("bai-wrong", bad);
    link.classList.toggle("bai-visited", visited.has(page) && page !== review);
    link.querySelector(".visually-hidden").hidden = !bad;
    if (page === current) link.setAttribute("aria-current", "step");
    else link.removeAttribute("aria-current");
  }
};
const drawButtons = () => {
  const last = current === review;
  backButton.hidden = current === pages[0];
  nextButton.hidden = last;
  nextButton.type = last ? "button" : "submit";  // else Enter on the last page would press it
  launchLabel = last ? "LAUNCH" : "CONFIRM AND LAUNCH";
  launchButton.classList.toggle("btn-primary", last);
  launchButton.classList.toggle("btn-lg", last);
  launchButton.classList.toggle("btn-outline-contrast", !last);
  if (!launchButton.disabled) launchButton.textContent = launchLabel;
  unvisited.hidden = last;
  unvisited.textContent = visited.size < pages.length
    ? "CONFIRM AND LAUNCH launches at once: pages not visited have their defaults."
    : "CONFIRM AND LAUNCH launches at once, with what all pages hold.";
};
/** Draws again what depends on the fields. */
export const refresh = () => {
  const found = problems();
  remark(found);
  drawSteps(found);
  if (current === review) drawReview(found);
};
/** Takes back that the launch was blocked, if it was. */
export const unblock = () => {
  blocked.hidden = true;
};
const show = (page) => {
  current = page;
  visited.add(page);
  unblock();
  for (const other of pages) other.hidden = other !== page;
  drawButtons();
  refresh();
};
export const focusOn = (element) => {
  const whole = element === current;
  face(element).focus({ preventScroll: whole });
  if (whole) steps.scrollIntoView({ block: "nearest" });
};

// ---- history
const state = (from) => ({ ...history.state, ...kept, baiPage: current.id, baiFrom: from });
/** Keeps a value in the history: a browser that comes back puts back only what the page had. */
export const keep = (name, value) => {
  kept[name] = value;
  history.replaceState(state(history.state && history.state.baiFrom), "");
};
export const restored = (name) => history.state && history.state[name];
const remembered = (known) => pages.find((page) => known && page.id === known.baiPage);

// ---- turning pages
export const go = (page, element = page) => {
  if (page !== current) {
    const from = current.id;
    show(page);
    history.pushState(state(from), "");
  }
  focusOn(element);
  return true;
};
export const forward = () => {
  const page = pages[pages.indexOf(current) + 1];
  return page ? go(page) : false;
};
// where the browser's own Back leads to the same page, it is that: no entry is added
export const backward = () => {
  const page = pages[pages.indexOf(current) - 1];
  if (!page) return false;
  if (!history.state || history.state.baiFrom !== page.id) return go(page);
  history.back();
  return true;
};

/** Shows the first of what blocks the launch; whether there was anything. */
export const stopped = (mark) => {
  const found = problems().filter((problem) => problem.lasting);
  if (!found.length) return false;
  found.forEach(mark);
  const [first] = found;
  const more = found.length > 1 ? ` (and ${found.length - 1} more)` : "";
  go(pageOf(first.field), first.field);
  drawSteps(found);
  blocked.hidden = false;
  blocked.textContent = `Not launched. ${first.label}: ${first.reason}${more}`;
  return true;
};

/** Begins where the history was, else at the first problem of a refusal. */
export const begin = (told) => {
  form.addEventListener("click", (event) => {
    const link = event.target.closest('a[href^="#"]');
    if (!link || !says(link)) return;
    event.preventDefault();
    go(pageOf(target(link)), target(link));
  });
  backButton.addEventListener("click", backward);
  // what a template or a link filled in is no page's default
  form.addEventListener("bai-filled", () => {
    pages.forEach((page) => visited.add(page));
    drawButtons();
    refresh();
  });
  window.addEventListener("popstate", (event) => {
    const page = remembered(event.state);
    if (!page) return;
    show(page);
    history.replaceState(state(event.state.baiFrom), "");
    focusOn(page);
  });
  // a browser may have put back what was typed, or the whole page as it was
  window.addEventListener("pageshow", () => {
    sending(false);
    refresh();
  });
  steps.hidden = false;
  const summary = byId("bai-problems");
  const refused = summary && "baiProblems" in summary.dataset;
  const known = remembered(history.state);
  const [first] = problems().filter((problem) => told.includes(problem));
  const bad = refused && (first ? pageOf(first.field) : review);
  show(known || bad || pages[0]);
  history.replaceState(state(history.state && history.state.baiFrom), "");
  if (refused && !known) focusOn(first ? first.field : summary);
};
