// Starting from what was launched before (R16): in the form's wizard, a bar above the first page
// that fills the form, and on the review a button that saves it. It only fills in; nothing here
// launches, and everything it puts into the form can be undone.

import { byId, make } from "./dom.js";
import { apply, read } from "./fields.js";
import { isNameTaken } from "./free_name.js";
import { kept } from "./kept.js";
import { copyButton, fillFromAddress } from "./link.js";
import { askName } from "./naming.js";
import { makeNotice } from "./notice.js";
import { templateList } from "./template_list.js";

const liveNames = () => {
  const data = byId("bai-live");
  return data ? JSON.parse(data.textContent).names : [];
};

/**
 * Puts the bar, the notice and the review's buttons into the form, and fills it from the
 * address if a link led here. Call it once the form is ready.
 *
 * - `service` is a promise of the service (service.js: `visit()`); when it fails the form stays
 *   as it is, and only what needs no service is there.
 * - `folders(names)` puts names of new folders into the form in its own way.
 * - `names()` are the names of the user's live sessions.
 */
export const startFrom = async (form, { service, folders, names = liveNames }) => {
  const notice = makeNotice();
  form.prepend(notice.element);
  const tools = make("div", { class: "bai-tools" }, ...copyButton(form, { notice }));
  byId("bai-review").append(tools);
  fillFromAddress(form, { notice, folders });

  let store;
  try {
    store = await kept(await service);
  } catch {
    return;  // the form is whole without
  }

  const fill = (what, found) => {
    const typed = read(form);
    const taken = isNameTaken(found, names());
    const lines = apply(form, taken ? { ...found, session_name: [""] } : found, { folders });
    if (taken) lines.unshift("Session name: that session is still there, so it is left empty.");
    const undo = () => {
      apply(form, typed, { folders });
      notice.tell({ text: "What you had typed before is back." });
    };
    const review = make("a", { class: "alert-link", href: "#bai-review" }, "Go to the review");
    notice.tell({ text: `Filled in: ${what}.`, lines, undo, links: [review] });
  };

  // ---- the bar
  const bar = make("div", { class: "bai-start-from", role: "group", "aria-label": "Start from" });
  const before = store.last();
  if (before) {
    const { title, fields } = before;
    const same = make(
      "button", { type: "button", class: "btn btn-sm btn-outline-contrast" },
      `Same as last time: ${title}`,
    );
    same.addEventListener("click", () => fill("the same as last time", fields));
    bar.append(same);
  }
  const toggle = make(
    "button",
    {
      type: "button",
      class: "btn btn-sm btn-outline-contrast",
      "aria-expanded": "false",
      "aria-controls": "bai-templates",
    },
  );
  const panel = make("div", { class: "bai-templates", id: "bai-templates", hidden: true });
  const open = (on) => {
    panel.hidden = !on;
    toggle.setAttribute("aria-expanded", String(on));
  };
  const drawn = () => {
    const many = store.templates().length;
    toggle.textContent = `Your templates (${many})`;
    toggle.hidden = !many;
    if (!many) open(false);
    bar.hidden = !many && !before;
  };
  const act = (template) => {
    open(false);
    toggle.focus();
    fill(`the template “${template.name}”`, template.fields);
  };
  const list = templateList({ store, use: { label: "Fill in", act }, notice, drawn });
  panel.append(list.element);
  toggle.addEventListener("click", () => open(panel.hidden));
  panel.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || event.defaultPrevented) return;
    open(false);
    toggle.focus();
  });
  bar.append(toggle, panel);
  byId("bai-environment").querySelector("legend").after(bar);

  // ---- saving
  const save = make(
    "button", { type: "button", class: "btn btn-sm btn-outline-contrast" }, "Save as template",
  );
  save.addEventListener("click", async () => {
    const fields = read(form);
    const name = await askName({
      title: "Save as template",
      replaceable: true,
      save: (wanted, replace) => store.save(wanted, fields, replace),
    });
    if (name === null) return;
    list.draw();
    notice.tell({ text: `Saved as the template “${name}”.` });
  });
  tools.prepend(save);
};
