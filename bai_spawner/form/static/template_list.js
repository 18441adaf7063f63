// A list of templates: one button each to use it, and a menu to rename and delete it.

import { make } from "./dom.js";
import { askName } from "./naming.js";

const item = (text, act) => {
  const button = make("button", { type: "button", class: "dropdown-item" }, text);
  button.addEventListener("click", act);
  return make("li", {}, button);
};

/** What of a kept launch a list shows: its name, and what it launches. */
export const entry = (name, title, ...buttons) =>
  make(
    "li",
    { class: "bai-kept" },
    make(
      "div",
      { class: "bai-kept-name" },
      make("strong", {}, name),
      make("span", { class: "bai-fine" }, title),
    ),
    ...buttons,
  );

/**
 * An element that lists what `store` keeps (kept.js).
 *
 * `use` is what is done with one, `{ label, act(template) }`; `lead` gives the entries that
 * stand first; `notice` tells what was done; `drawn` is called whenever the list was drawn.
 */
export const templateList = ({ store, use, notice, lead = () => [], drawn = () => {} }) => {
  const list = make("ul", { class: "bai-kept-list", tabindex: "-1", "aria-label": "Templates" });

  const draw = (focused) => {
    list.replaceChildren(...lead(), ...store.templates().map(row));
    drawn();
    const at = [...list.querySelectorAll("[data-bs-toggle]")].find((one) => one.bai === focused);
    if (focused !== undefined) (at || list).focus();
  };
  const trouble = (what, error) => notice.tell({ text: what, lines: [error.message] });

  const rename = async (template) => {
    const name = await askName({
      title: "Rename the template",
      value: template.name,
      yes: "RENAME",
      save: (wanted) => store.rename(template, wanted),
    });
    if (name === null || name === template.name) return;
    notice.tell({ text: `“${template.name}” is now called “${name}”.` });
    draw(name);
  };
  const restore = async ({ name, fields }) => {
    try {
      await store.save(name, fields);
      notice.tell({ text: `“${name}” is back.` });
    } catch (error) {
      trouble(`“${name}” could not be put back.`, error);
    }
    draw(name);
  };
  const remove = async (template) => {
    try {
      await store.remove(template);
      const undo = () => restore(template);
      notice.tell({ text: `Deleted the template “${template.name}”.`, undo });
    } catch (error) {
      trouble(`“${template.name}” was not deleted.`, error);
    }
    draw(null);
  };
  const row = (template) => {
    const act = make(
      "button",
      { type: "button", class: "btn btn-sm btn-primary", "aria-label": `${use.label} ${template.name}` },
      use.label,
    );
    act.addEventListener("click", () => use.act(template));
    const toggle = make(
      "button",
      {
        type: "button",
        class: "btn btn-sm btn-outline-contrast",
        "data-bs-toggle": "dropdown",
        "aria-expanded": "false",
        "aria-label": `Change ${template.name}`,
      },
      make("i", { class: "fa-solid fa-ellipsis", "aria-hidden": "true" }),
    );
    toggle.bai = template.name;
    const menu = make(
      "ul",
      { class: "dropdown-menu dropdown-menu-end" },
      item("Rename", () => rename(template)),
      item("Delete", () => remove(template)),
    );
    return entry(template.name, template.title, act, make("div", { class: "dropdown" }, toggle, menu));
  };
  draw();
  return { element: list, draw };
};
