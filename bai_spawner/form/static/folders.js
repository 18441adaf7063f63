// Folders that are made at the launch: any number of them, without leaving the page.
//
// The plain page has one box for them. Here it is the one to type in: Add makes it a row of its
// own and leaves it empty. A name in it counts without that, too.

import { describe, make, write } from "./dom.js";
import { all, changed, form, rules } from "./form.js";
import { focusOn, keep, restored } from "./pages.js";
import { judge, mark } from "./problems.js";

const { reserved } = rules.folders;
const KEPT = "baiFolders";
let numbered = 0;

const boxes = () => all("new_folder");
const adder = () => boxes().at(-1);
const rows = () => boxes().slice(0, -1);

const check = (box) => {
  const name = box.value.trim();
  if (!name) return "";
  if (reserved.includes(name.toLowerCase())) return "is a name that the session itself uses";
  if (all(`mount:${CSS.escape(name)}`).length) return "is a folder of yours already: mount it above";
  const twin = boxes().find((other) => other.value.trim() === name);
  return twin === box ? "" : "stands above already";
};

const keepRows = () => keep(KEPT, rows().map((box) => box.value));

/** Makes a list item of a box into a row: what happens to the folder, and a way to take it off. */
const furnish = (item) => {
  const box = item.querySelector("input");
  const button = make(
    "button",
    { type: "button", class: "btn btn-sm btn-outline-contrast" },
    "Remove",
  );
  const named = () => button.setAttribute("aria-label", `Remove ${box.value.trim() || "this folder"}`);
  item.querySelector(".bai-fine").textContent = "Made for you at launch, read and write.";
  item.append(button);
  named();
  box.addEventListener("input", named);
  button.addEventListener("click", () => {
    item.remove();
    keepRows();
    changed(adder());
    adder().focus();
  });
};

const addRow = (name) => {
  numbered += 1;
  const id = `bai-made-${numbered}`;
  const pattern = adder();
  const box = make("input", {
    type: "text",
    class: "form-control form-control-sm",
    id,
    name: "new_folder",
    pattern: pattern.pattern,
    title: pattern.title,
    value: name,
    autocapitalize: "off",
    spellcheck: "false",
    "aria-describedby": `${id}:help`,
  });
  const item = make(
    "li",
    { "data-bai-new": true },
    make("label", { class: "bai-name", for: id }, "New folder"),
    make("div", { class: "bai-choice" }, box),
    make("span", { class: "bai-fine", id: `${id}:help` }),
  );
  pattern.closest("li").before(item);
  furnish(item);
};

const add = () => {
  const box = adder();
  const name = box.value.trim();
  if (name && box.validity.valid) {
    box.value = "";
    addRow(name);
    keepRows();
    changed(box);
  } else if (name) {
    mark({ field: box, reason: box.validity.customError ? box.validationMessage : box.title });
  }
  focusOn(box);
};

/** Puts other new folders in the place of those that are there, as a template or a link has them. */
export const setNewFolders = (names) => {
  if (!boxes().length) return;
  rows().forEach((box) => box.closest("li").remove());
  adder().value = "";
  names.map((name) => name.trim()).filter(Boolean).forEach(addRow);
  keepRows();
  changed(adder());
};

export const prepareFolders = () => {
  if (!boxes().length) return;
  rows().forEach((box) => furnish(box.closest("li")));
  (restored(KEPT) || []).filter((name) => !rows().some((box) => box.value === name)).forEach(addRow);
  const box = adder();
  const button = make(
    "button", { type: "button", class: "btn btn-sm btn-outline-contrast", id: "bai-add" }, "Add",
  );
  const group = make("div", { class: "input-group" });
  box.before(group);
  group.append(box, button);
  const status = make("span", { class: "visually-hidden", role: "status" });
  group.after(status);
  button.addEventListener("click", add);
  // Enter makes a row of a name; with nothing typed it turns the page as in any other box
  box.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !box.value.trim()) return;
    event.preventDefault();
    add();
  });
  form.addEventListener("input", ({ target }) => {
    if (target.name !== "new_folder") return;
    if (target !== adder()) keepRows();
    const many = rows().length;
    write(status, many ? `${many} new folder${many === 1 ? "" : "s"}` : "");
  });
  describe(box, `${box.id}:help`);
  judge(() => boxes().forEach((one) => one.setCustomValidity(check(one))));
};
