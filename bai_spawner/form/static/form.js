// The launch form and what it holds now. The fields are those that the server knows
// (options.from_form); whatever a script adds for convenience has no name and is not sent.

import { byId, embedded } from "./dom.js";

export const form = byId("spawn_form");
export const pages = [...form.querySelectorAll("[data-bai-page]")];
export const review = byId("bai-review");
export const launchButton = byId("bai-launch-button");
export const rules = embedded("bai-rules");

export const pageOf = (element) => element.closest("[data-bai-page]");
export const all = (name) => [...form.querySelectorAll(`[name="${name}"]`)];
export const field = (name) => all(name)[0];
export const checked = (name) => form.querySelector(`[name="${name}"]:checked`);

/** The key that is chosen of radios, or that stands fixed. */
export const chosen = (name) => {
  const one = checked(name) || form.querySelector(`[type=hidden][name="${name}"]`);
  return one ? one.value : "";
};
export const isCustom = () => byId("bai-preset").checked;
/** How many sessions; what is no number of them, or far too many, is told at its box. */
export const count = () => {
  const typed = Math.floor(Number(field("sessions").value));
  return Math.min(Math.max(typed || 1, 1), rules.session_name.most);
};

export const automatic = () => [...form.querySelectorAll("[data-bai-automatic]")];
export const mounts = () => [...form.querySelectorAll('[name^="mount:"]')].filter((s) => s.value);
export const newFolders = () => all("new_folder").filter((box) => box.value.trim());

/** As the server reads them: a line without a name is passed over. */
export const variables = () =>
  field("env").value.split(/\r\n|\n|\r/).flatMap((line, index) => {
    const [name] = line.split("=", 1);
    if (!name.trim()) return [];
    const value = line.includes("=") ? line.slice(name.length + 1) : null;
    return [{ name: name.trim(), value, line: index + 1 }];
  });

/** Tells everyone that a field has a new value, as if a user had typed it. */
export const changed = (control) => control.dispatchEvent(new Event("input", { bubbles: true }));

/** The names that the sessions will have; none where a word is drawn. */
export const sessionNames = () => {
  const base = field("session_name").value.trim();
  if (!base) return [];
  const most = count();
  return most > 1 ? Array.from({ length: most }, (_, index) => `${base}${index + 1}`) : [base];
};
