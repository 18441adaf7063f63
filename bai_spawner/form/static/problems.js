// What is wrong with the form, before it is sent: {field, label, reason, lasting}.
//
// The server's problems stand in its summary and hold until their field is edited; the page's
// own come from the browser's validity, which judges set, and from advisers, who know more than
// one field. A lasting problem blocks the launch: the same form would be refused again.

import { byId, describe, says, target } from "./dom.js";
import { form, isCustom, pageOf } from "./form.js";

const judges = [];
const advisers = [];
const faces = new Map();

/** Has a function set custom validities before problems are looked for. */
export const judge = (set) => judges.push(set);
/** Has a function tell problems that no single field knows. */
export const advise = (tell) => advisers.push(tell);
/** Lets another element be focused and marked for a field that a script has hidden. */
export const standIn = (control, element) => faces.set(control, element);
export const face = (control) => faces.get(control) || control;

// ---- what the server told
let told = [...document.querySelectorAll("#bai-problems li:has(a)")].map((line) => ({
  field: target(line.querySelector("a")),
  label: says(line.querySelector("a")),
  reason: says(line.querySelector("span")),
  lasting: "baiLasting" in line.dataset,
  variable: line.dataset.baiVariable || "",
}));
export const byServer = () => told;

/** A script asks for this itself, so that the server's word on it is no more to the point. */
export const leaveAside = (control) => {
  told = told.filter((problem) => problem.field !== control);
};

// an edit may have mended what the server told; two fields stand for themselves
const independent = (control) => ["session_name", "env"].includes(control.name);
const settles = (edited, problem) => {
  if (edited === problem.field) return true;
  if (independent(edited) || independent(problem.field)) return false;
  const page = pageOf(problem.field);
  const bounding = edited.name === "environment" && page.id === "bai-resources";
  return bounding || page === pageOf(edited);
};
export const settle = (edited) => {
  const settled = told.filter((problem) => settles(edited, problem));
  told = told.filter((problem) => !settled.includes(problem));
  settled.forEach((problem) => unmark(problem.field));
};

// ---- what the page sees
const counts = (control) => isCustom() || !control.closest(".bai-custom");
const isWrong = (control) =>
  Boolean(control.name) && control.willValidate && counts(control) && !control.validity.valid;
const reason = (control) => {
  const state = control.validity;
  if (state.patternMismatch) return control.title;
  if (state.badInput) return "is not a number";
  if (state.rangeUnderflow || state.rangeOverflow) {
    if (!control.max) return `must be at least ${control.min}`;
    return `must be at least ${control.min} and at most ${control.max}`;
  }
  if (state.stepMismatch) return `goes in steps of ${control.step}`;
  return control.validationMessage;
};
const label = (control) =>
  says(control.labels.length ? control.labels[0] : pageOf(control).querySelector("legend"));
const seen = () => {
  judges.forEach((set) => set());
  return [...form.elements]
    .filter((control) => isWrong(control) && !told.some((problem) => problem.field === control))
    .map((control) => (
      { field: control, label: label(control), reason: reason(control), lasting: true }
    ));
};
const order = ({ field: a }, { field: b }) => {
  if (a === b) return 0;
  return a.compareDocumentPosition(b) & Node.DOCUMENT_POSITION_FOLLOWING ? -1 : 1;
};
export const problems = () => {
  const own = seen();
  const known = new Set([...told, ...own].map((problem) => problem.field));
  const more = advisers.flatMap((tell) => tell()).filter((problem) => !known.has(problem.field));
  return [...told, ...own, ...more].sort(order);
};

// ---- marks at fields
const marked = new Set();
const place = (shown) => {
  if (shown.type === "checkbox") return shown.labels[0];
  return shown.closest(".bai-mark-after") || shown.closest(".input-group") || shown;
};
export const mark = ({ field: control, reason: why }) => {
  if (control.type === "radio") {  // its card says why already
    control.classList.add("is-invalid");
    marked.add(control);
    return;
  }
  const id = `${control.id}:problem`;
  if (!byId(id)) {
    const message = document.createElement("div");
    message.className = "invalid-feedback d-block";
    message.id = id;
    place(face(control)).after(message);
    marked.add(control);
  }
  if (marked.has(control)) byId(id).textContent = why;
  face(control).classList.add("is-invalid");
  face(control).setAttribute("aria-invalid", "true");
  describe(face(control), id);
};
const unmark = (control) => {
  const id = `${control.id}:problem`;
  if (byId(id)) byId(id).remove();
  const alike = [...form.elements].filter(
    (one) => control.name && one.type === "radio" && one.name === control.name,
  );
  for (const one of [control, face(control), ...alike]) {
    one.classList.remove("is-invalid");
    one.removeAttribute("aria-invalid");
    describe(one, id, false);
  }
  marked.delete(control);
};
/** Keeps the page's own marks true. */
export const remark = (found) => {
  for (const control of [...marked]) {
    const still = found.find((problem) => problem.field === control);
    if (still) mark(still);
    else unmark(control);
  }
};
/** The face of a field that the server marked is marked, too. */
export const moveMarks = () => told.forEach((problem) => {
  if (face(problem.field) !== problem.field) mark(problem);
});

// ---- a mistake is marked when typing pauses: at once would scold half a word, and on leaving
// the field would move the button away that is just being pressed
const PAUSE = 700;
let pausing = 0;
export const markSoon = (control) => {
  clearTimeout(pausing);
  pausing = setTimeout(() => {
    const found = problems().find((problem) => problem.field === control);
    if (found) mark(found);
  }, PAUSE);
};
