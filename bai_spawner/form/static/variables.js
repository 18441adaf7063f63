// The dialog for environment variables (R6). It takes the place of the text box, which goes on
// holding what was saved, one NAME=value a line: the server reads the same as without a script.

import { byId, describe, make, write } from "./dom.js";
import { ask, open } from "./dialog.js";
import { changed, field, rules, variables } from "./form.js";
import { byServer, standIn } from "./problems.js";

const known = rules.variables;
const pattern = new RegExp(`^(?:${known.pattern})$`);
const box = field("env");
const dialog = byId("bai-variables");
const list = byId("bai-variables:rows");
const status = byId("bai-variables:status");
const config = make(
  "button", { type: "button", class: "btn btn-outline-contrast", id: "bai-config" }, "CONFIG",
);
const summary = make("p", { class: "form-text mb-0", id: "bai-config:set" });

// ---- rows
const rows = () => [...list.children];
const inputs = (row) => [...row.querySelectorAll("input")];
const read = (row) => {
  const [name, value] = inputs(row);
  return { row, name: name.value.trim(), value: value.value };
};
const isWhole = ({ name, value }) => name !== "" && value !== "";
const isBegun = ({ name, value }) => name !== "" || value !== "";

let numbered = 0;
const addRow = ({ name = "", value = "" } = {}, reason = "") => {
  numbered += 1;
  const first = !list.children.length;
  const id = `bai-variable-${numbered}`;
  const input = (part, label, text) => make("input", {
    type: "text",
    class: "form-control font-monospace",
    id: `${id}:${part}`,
    "aria-label": label,
    placeholder: label,
    value: text,
    autocapitalize: "off",
    autocomplete: "off",
    spellcheck: "false",
  });
  const button = first
    ? make("button", { type: "button", class: "btn btn-outline-contrast", "aria-label": "Add a variable" }, "+")
    : make("button", { type: "button", class: "btn btn-outline-contrast", "aria-label": "Remove this variable" }, "−");
  const row = make(
    "li",
    {},
    input("name", "Name", name),
    input("value", "Value", value),
    button,
    make("div", { class: "invalid-feedback", id: `${id}:problem` }),
  );
  button.addEventListener("click", () => {
    if (first) inputs(addRow())[0].focus();
    else removeRow(row);
  });
  row.dataset.told = reason;
  list.append(row);
  return row;
};
const removeRow = (row) => {
  const before = row.previousElementSibling;
  row.remove();
  inputs(before)[0].focus();
  judge();
};
const fill = (found) => {
  list.replaceChildren();
  const told = byServer().filter((problem) => problem.field === box && problem.variable);
  for (const variable of found.length ? found : [{}]) {
    const its = told.find((problem) => problem.variable === variable.name);
    addRow({ name: variable.name, value: variable.value || "" }, its ? its.reason : "");
  }
};

// ---- what is wrong with a row
const isPlatform = (name) => {
  const upper = name.toUpperCase();
  return known.platform_names.includes(upper)
    || known.platform_prefixes.some((prefix) => upper.startsWith(prefix));
};
const wrong = ({ row, name }, index, whole) => {
  if (!pattern.test(name)) return "Letters, digits and '_' alone, and no digit first.";
  if (name.length > known.longest_name) return `At most ${known.longest_name} characters.`;
  if (isPlatform(name)) return "Set by the platform: it cannot be changed.";
  if (whole.findIndex((other) => other.name === name) < index) return `${name} stands above, too.`;
  return row.dataset.told;
};
const show = (row, why) => {
  const [name] = inputs(row);
  const message = row.querySelector(".invalid-feedback");
  write(message, why);
  message.classList.toggle("d-block", why !== "");
  name.classList.toggle("is-invalid", why !== "");
  if (why) name.setAttribute("aria-invalid", "true");
  else name.removeAttribute("aria-invalid");
  describe(name, message.id, why !== "");
};
/** Marks every row that is wrong; the first of them, if there is one. */
const judge = () => {
  const read_ = rows().map(read);
  const whole = read_.filter(isWhole);
  const reasons = new Map(whole.map((found, index) => [found.row, wrong(found, index, whole)]));
  for (const { row } of read_) show(row, reasons.get(row) || "");
  const ignored = read_.filter((found) => isBegun(found) && !isWhole(found)).length;
  const told = [];
  if (ignored === 1) told.push("1 row without a name or a value is ignored.");
  if (ignored > 1) told.push(`${ignored} rows without a name or a value are ignored.`);
  if (whole.length > known.most) told.push(`At most ${known.most} variables are accepted.`);
  write(status, told.join(" "));
  return read_.find(({ row }) => reasons.get(row));
};

// ---- opening and closing
const text = () => JSON.stringify(rows().map(read).filter(isBegun).map((r) => [r.name, r.value]));
let before = "";
const close = async () => {
  const discard = text() === before || await ask({
    title: "Discard your changes?",
    text: "The variables that you did not SAVE are not applied.",
    yes: "Discard",
    no: "Keep editing",
    danger: true,
  });
  if (discard) dialog.close();
};
const save = () => {
  const bad = judge();
  if (bad) return inputs(bad.row)[0].focus();
  const whole = rows().map(read).filter(isWhole);
  if (whole.length > known.most) return undefined;
  box.value = whole.map(({ name, value }) => `${name}=${value}`).join("\n");
  dialog.close();
  changed(box);
  return undefined;
};
const begin = () => {
  fill(variables());
  before = text();
  judge();
  byId("bai-variables:about").hidden = true;
  byId("bai-variables:info").setAttribute("aria-expanded", "false");
  open(dialog, close);
  const bad = list.querySelector(".is-invalid");
  (bad || inputs(list.firstElementChild)[0]).focus();
};

// Enter goes on to the next box, and from the last one to a new row
const onEnter = (event) => {
  if (event.key !== "Enter" || event.target.tagName !== "INPUT") return;
  event.preventDefault();
  const boxes = [...list.querySelectorAll("input")];
  const next = boxes[boxes.indexOf(event.target) + 1];
  (next || inputs(isBegun(read(event.target.closest("li"))) ? addRow() : list.lastElementChild)[0]).focus();
};

/** What stands beside CONFIG. */
const summarize = () => {
  const names = variables().filter(({ value }) => value).map(({ name }) => name);
  const many = `${names.length} variable${names.length === 1 ? "" : "s"} set: ${names.join(", ")}`;
  write(summary, names.length ? many : "No variable is set.");
};

export const prepareVariables = () => {
  const [label] = box.labels;
  label.id = "bai-env:label";
  config.setAttribute("aria-labelledby", `${config.id} ${label.id}`);
  box.hidden = true;
  byId("bai-env:help").hidden = true;
  box.before(make("div", { class: "bai-config bai-mark-after" }, config, summary));
  describe(config, summary.id);
  standIn(box, config);
  byId("bai-variables:names").textContent = [
    ...known.platform_prefixes.map((prefix) => `${prefix}…`),
    ...known.platform_names,
  ].join(", ");

  config.addEventListener("click", begin);
  byId("bai-variables:close").addEventListener("click", close);
  byId("bai-variables:save").addEventListener("click", save);
  byId("bai-variables:empty").addEventListener("click", () => {
    fill([]);
    judge();
    inputs(list.firstElementChild)[0].focus();
  });
  byId("bai-variables:info").addEventListener("click", ({ currentTarget: info }) => {
    const about = byId("bai-variables:about");
    about.hidden = !about.hidden;
    info.setAttribute("aria-expanded", String(!about.hidden));
  });
  list.addEventListener("keydown", onEnter);
  list.addEventListener("input", ({ target }) => {
    target.closest("li").dataset.told = "";
    judge();
  });
  box.addEventListener("input", summarize);
  window.addEventListener("pageshow", summarize);
  summarize();
};
