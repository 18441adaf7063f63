// What a launch form holds, as values: {name: [value, …]}, just as the form posts it.
//
// `read` takes it from a form, `apply` puts it back, `toFragment` and `fromFragment` carry it in
// a link. Whatever the values are, from a link or a template of long ago, they stay text: they
// are set as values of controls that the form has, and what the form does not offer is told in
// words and left alone. Nothing here sends anything.

import { make, says } from "./dom.js";

/** Never carried: a token, and an answer that a person gives anew at every launch (R18). */
const LEFT_OUT = new Set(["_xsrf", "alone"]);
const PLAIN = new Set([
  "session_name", "sessions", "environment", "resource_group", "preset",
  "cpu", "memory", "shm", "fgpu", "new_folder", "env",
]);
const BOXES = ["cpu", "memory", "shm", "fgpu"];
const LONGEST_FRAGMENT = 16 * 1024;
const SHOWN = 60;

const isKnown = (name) =>
  PLAIN.has(name) || name.startsWith("mount:") || name.startsWith("version:");
const given = (fields, name) =>
  Object.hasOwn(fields, name) && fields[name].length ? fields[name] : null;

/** The value that counts, as the server reads it; empty when there is none. */
export const last = (fields, name) => (given(fields, name) || [""]).at(-1);
const only = (fields, keep) =>
  Object.fromEntries(Object.entries(fields).filter(([name, values]) => keep(name, values)));

/** Values by name, in the order of the pairs. */
const grouped = (pairs) => {
  const found = new Map();
  for (const [name, value] of pairs) found.set(name, [...(found.get(name) || []), value]);
  return Object.fromEntries(found);
};

/** What would be launched: of the versions, only that of the environment that is chosen. */
export const essential = (fields) => {
  const version = `version:${last(fields, "environment")}`;
  return only(fields, (name) =>
    !LEFT_OUT.has(name) && (!name.startsWith("version:") || name === version));
};

export const read = (form) =>
  essential(grouped([...new FormData(form)].filter(([, value]) => typeof value === "string")));

/** Whether a launch with these fields mounts a folder that was asked for. */
export const mountsAnything = (fields) =>
  Object.entries(fields).some(([name, values]) =>
    (name.startsWith("mount:") || name === "new_folder") && values.some((value) => value.trim()));

// ---- into a form
const TITLES = { environment: "Environment", resource_group: "Resource group", preset: "Preset" };
const label = (control) =>
  TITLES[control.name]
  || control.getAttribute("aria-label")
  || says(control.labels && control.labels[0])
  || control.name;
const quoted = (text) => `“${text.length > SHOWN ? `${text.slice(0, SHOWN)}…` : text}”`;
const state = (control) => (control.type === "radio" ? control.checked : control.value);

const setRadio = (radios, wanted) => {
  const found = radios.find((radio) => radio.value === wanted);
  const standard = radios.find((radio) => radio.defaultChecked);
  const usable = found && (!found.disabled || found.checked);
  const chosen = usable ? found : standard;
  if (chosen) chosen.checked = true;
  if (usable || wanted === null) return "";
  const why = found ? "cannot be chosen now" : "is not offered any more";
  const left = chosen ? `; it is now ${quoted(says(chosen.labels[0]))}` : "";
  return `${label(radios[0])}: ${quoted(found ? says(found.labels[0]) : wanted)} ${why}${left}.`;
};
const setSelect = (select, wanted) => {
  const options = [...select.options];
  const found = options.find((option) => option.value === wanted);
  const usable = found && (!found.disabled || found.selected);
  const chosen = usable ? found : options.find((option) => option.defaultSelected) || options[0];
  if (chosen) chosen.selected = true;
  if (usable || wanted === null) return "";
  const left = chosen ? `; it is now ${quoted(chosen.label)}` : "";
  return `${label(select)}: ${quoted(wanted)} is not offered any more${left}.`;
};
const setText = (box, wanted) => {
  box.value = wanted === null ? box.defaultValue : wanted;
  const kept = wanted === null || box.value === wanted.replace(/\r\n?/g, "\n");
  return kept ? "" : `${label(box)}: ${quoted(wanted)} is not accepted there.`;
};
const setFixed = (box, wanted) =>
  wanted === null || box.value === wanted
    ? ""
    : `${label(box)}: ${quoted(wanted)} is not offered any more.`;

/** Sets the controls of one name; what could not be done, in words. */
const set = (alike, values) => {
  const [control] = alike;
  const wanted = values ? values.at(-1) : null;
  if (control.type === "radio") return setRadio(alike, wanted);
  if (control.tagName === "SELECT") return setSelect(control, wanted);
  return control.type === "hidden" || control.readOnly
    ? setFixed(control, wanted)
    : setText(control, wanted);
};

/** Puts names of new folders into the form's own boxes; what has no box goes hidden with it. */
const fillBoxes = (boxes, names) => {
  const [first] = boxes;
  for (const box of boxes) {
    if (box.type === "hidden") box.remove();
    else box.value = names.shift() || "";
  }
  for (const value of names.toReversed()) {
    first.after(make("input", { type: "hidden", name: "new_folder", value }));
  }
};

/** New folders of the launch that was kept; those that exist by now are mounted instead. */
const setFolders = (form, controls, fields, fill) => {
  const asked = (given(fields, "new_folder") || []).map((name) => name.trim()).filter(Boolean);
  const made = asked.filter((name) => controls.has(`mount:${name}`));
  const reports = made.map((name) => set(controls.get(`mount:${name}`), ["rw"]));
  const names = asked.filter((name) => !made.includes(name));
  const boxes = controls.get("new_folder") || [];
  if (boxes.length) (fill || ((wanted) => fillBoxes(boxes, wanted)))(names);
  else reports.push(...names.map((name) => `New folder ${quoted(name)}: none can be made here.`));
  return reports;
};

const tellOf = (control) => {
  for (const kind of ["input", "change"]) {
    control.dispatchEvent(new Event(kind, { bubbles: true }));
  }
};

/**
 * Fills a form; what could not be done, in words, a line each.
 *
 * With `whole`, a field that is not given goes back to its default, else it stays as it is.
 * `folders(names)` lets a page that shows new folders in its own way take them. Every control
 * that changed tells so with `input` and `change`, the form with `bai-filled` at the end.
 */
export const apply = (form, fields, { whole = true, folders } = {}) => {
  const controls = new Map();
  for (const control of form.elements) {
    const { name } = control;
    if (name && !LEFT_OUT.has(name)) controls.set(name, [...(controls.get(name) || []), control]);
  }
  const before = [...form.elements].map((control) => [control, state(control)]);
  const reports = [];
  for (const [name, alike] of controls) {
    const values = given(fields, name);
    if (name !== "new_folder" && (values || whole)) reports.push(set(alike, values));
  }
  if (whole || given(fields, "new_folder")) {
    reports.push(...setFolders(form, controls, fields, folders));
  }
  for (const [name, values] of Object.entries(fields)) {
    if (name.startsWith("mount:") && values.at(-1) && !controls.has(name)) {
      reports.push(`Folder ${quoted(name.slice("mount:".length))}: is not offered any more.`);
    }
  }
  before
    .filter(([control, was]) => state(control) !== was && was !== true)
    .forEach(([control]) => tellOf(control));
  form.dispatchEvent(new CustomEvent("bai-filled"));
  return reports.filter(Boolean);
};

// ---- in a link
/** What others may have: no name, no value of a variable, nothing that is empty anyway. */
const forOthers = (fields) => {
  const preset = last(fields, "preset");
  const names = last(fields, "env").split(/\r\n|\n|\r/).map((line) => line.split("=", 1)[0].trim());
  const blank = names.filter(Boolean).map((name) => `${name}=`).join("\n");
  const shared = only(essential(fields), (name, values) =>
    name !== "session_name"
    && (name === "preset" || values.some(Boolean))
    && !(name === "sessions" && values.at(-1) === "1")
    && !(preset && BOXES.includes(name)));
  return blank ? { ...shared, env: [blank] } : only(shared, (name) => name !== "env");
};

export const toFragment = (fields) => {
  const pairs = Object.entries(forOthers(fields))
    .flatMap(([name, values]) => values.map((value) => [name, value]));
  return new URLSearchParams(pairs).toString();
};

/** The fields that a fragment names; none in anything else, null in one that is too long. */
export const fromFragment = (hash) => {
  const text = hash.replace(/^#/, "");
  if (text.length > LONGEST_FRAGMENT) return null;
  return grouped([...new URLSearchParams(text)].filter(([name]) => isKnown(name)));
};
