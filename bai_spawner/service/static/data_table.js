// The table of folders: a row is drawn once and then written to where something changed, so that
// the focus and what is selected stay where they are.

import { PERMISSIONS, countedAt, noteOf, sessionOf, sizeOf } from "./data_words.js";
import { byId, make, write } from "./dom.js";

const SHOWN = 3;
const ACTS = [["rename", "Rename"], ["delete", "Delete"]];
const table = byId("bai-folders");
const rows = new Map();

/** On a narrow screen a row is a card, and says itself what its parts are. */
const cell = (key, title, ...parts) => make(
  "td",
  { class: `bai-${key}` },
  make("span", { class: "bai-what" }, title),
  ...parts,
);

const button = (act, title, icon) => make(
  "button",
  { type: "button", class: "btn btn-sm btn-outline-contrast", "data-act": act, hidden: true },
  make("i", { class: `fa-solid ${icon}`, "aria-hidden": "true" }),
  ` ${title}`,
);

const makeRow = () => {
  const part = (tag, attributes = {}) => make(tag, attributes);
  const fine = () => part("span", { class: "bai-fine" });
  const parts = {
    name: part("span", { class: "bai-folder-name" }),
    note: fine(),
    owner: part("span"),
    permission: part("span"),
    size: part("span", { class: "bai-amount" }),
    files: fine(),
    sessions: part("span"),
    rename: button("rename", "Rename", "fa-pen"),
    delete: button("delete", "Delete", "fa-trash-can"),
  };
  const icon = make("i", { class: "fa-solid fa-folder fa-fw", "aria-hidden": "true" });
  const element = make(
    "tr",
    {},
    make("th", { scope: "row", class: "bai-name" }, icon, " ", parts.name, parts.note),
    cell("owner", "Owner", parts.owner),
    cell("permission", "Permission", parts.permission),
    cell("size", "Size", parts.size, parts.files),
    cell("sessions", "Mounted by", parts.sessions),
    make("td", { class: "bai-controls" }, make("div", {}, parts.rename, parts.delete)),
  );
  return { element, parts, icon };
};

const link = (session, me, base) => {
  const text = sessionOf(session, me);
  return make("a", { href: `${base}?text=${encodeURIComponent(session.name)}` }, text);
};

const drawSessions = (place, sessions, { me, base }) => {
  const told = JSON.stringify(sessions);
  if (place.dataset.told === told) return;
  place.dataset.told = told;
  const links = sessions.slice(0, SHOWN).flatMap((one) => [", ", link(one, me, base)]).slice(1);
  const more = sessions.length - SHOWN;
  place.replaceChildren(...links, more > 0 ? ` and ${more} more` : "", links.length ? "" : "–");
};

const draw = ({ parts, icon }, folder, looking) => {
  const [size, files] = sizeOf(folder);
  write(parts.name, folder.name);
  write(parts.note, noteOf(folder));
  write(parts.owner, folder.owner);
  write(parts.permission, PERMISSIONS[folder.permission]);
  write(parts.size, size);
  write(parts.files, files);
  parts.size.title = countedAt(folder);
  icon.classList.toggle("fa-folder", folder.kind === "user");
  icon.classList.toggle("fa-users", folder.kind === "group");
  drawSessions(parts.sessions, folder.sessions, looking);
  for (const [act, title] of ACTS) {
    parts[act].hidden = !folder.may.includes(act);
    parts[act].dataset.folder = folder.name;
    parts[act].setAttribute("aria-label", `${title} ${folder.name}`);
  }
};

/** Shows these folders; `looking` is who looks, and where the list of sessions is. */
export const show = (folders, looking) => {
  const names = new Set(folders.map(({ name }) => name));
  for (const [name, { element }] of rows) {
    if (!names.has(name)) {
      element.remove();
      rows.delete(name);
    }
  }
  folders.forEach((folder, index) => {
    if (!rows.has(folder.name)) rows.set(folder.name, makeRow());
    const row = rows.get(folder.name);
    draw(row, folder, looking);
    const at = table.tBodies[0].rows[index];
    if (at !== row.element) table.tBodies[0].insertBefore(row.element, at || null);
  });
  table.hidden = !folders.length;
};

/** Puts the focus where a folder is, or was. */
export const focusOn = (name) => {
  const row = rows.get(name);
  const place = row && !row.parts.rename.hidden ? row.parts.rename : table;
  (table.hidden ? byId("bai-nothing") : place).focus();
};

/** `act(what, name)` is called for a button of a row. */
export const prepareTable = (act) => {
  table.addEventListener("click", ({ target }) => {
    const found = target.closest("[data-act]");
    if (found) act(found.dataset.act, found.dataset.folder);
  });
};
