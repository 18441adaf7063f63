// The home page's way to launch again: what was launched last, and the user's templates, with
// one click each (R16). The page itself needs none of it.

import { byId, make } from "./dom.js";
import { kept } from "./kept.js";
import { launchAgain } from "./launch_again.js";
import { makeNotice } from "./notice.js";
import { visit } from "./service.js";
import { entry, templateList } from "./template_list.js";

const place = byId("bai-again");
const { spawn, automatic } = place.dataset;

const names = () => [...document.querySelectorAll("[data-server-name]")].map((row) => row.dataset.title);

/** One press, one launch; a page that comes back from history can be used again. */
let launching = false;
window.addEventListener("pageshow", () => {
  launching = false;
});
const launch = async ({ fields }) => {
  if (launching) return;
  launching = true;
  const xsrf = window.jhdata.xsrf_token;
  launching = await launchAgain(fields, { spawn, xsrf, automatic: automatic !== "", names: names() });
};

const leading = (store) => {
  const same = store.last();
  if (!same) return [];
  const button = make(
    "button",
    { type: "button", class: "btn btn-sm btn-primary", "aria-label": "Launch the same as last time" },
    "Launch",
  );
  button.addEventListener("click", () => launch(same));
  return [entry("Same as last time", same.title, button)];
};

/** Fills the place; throws when the service is away. */
export const offerLaunches = async () => {
  const store = await kept(await visit());
  const notice = makeNotice();
  const lead = () => leading(store);
  const empty = byId("bai-again-empty");
  const drawn = () => {
    empty.hidden = store.templates().length > 0;
  };
  const use = { label: "Launch", act: launch };
  const list = templateList({ store, use, notice, lead, drawn });
  byId("bai-again-list").replaceChildren(notice.element, list.element);
};
