// The apps of a session, to be opened in a window of their own (R35).

import { make } from "./dom.js";
import { Openings } from "./sessions_openings.js";
import { showPanel } from "./sessions_panel.js";

const OURS = { lab: "fa-flask", notebook: "fa-book", terminal: "fa-terminal" };
const OTHER = "fa-window-maximize";

const sign = (app) =>
  make("i", { class: `fa-solid ${OURS[app.name] || OTHER}`, "aria-hidden": "true" });

const entry = (app) => {
  const link = make(
    "a",
    {
      class: "bai-app",
      href: app.url,
      target: "_blank",
      rel: "noopener",
      title: `Open ${app.title} in a new window`,
      "data-app": app.name,
    },
    make("span", { class: "bai-app-icon" }, sign(app)),
    make("span", { class: "bai-app-title" }, app.title),
  );
  if (app.asks) link.append(make("span", { class: "bai-fine" }, `asks for a ${app.asks}`));
  return make("li", {}, link);
};

/** An image has its apps' icons; whoever cannot be let in there sees ours. */
const loadIcon = (link, icon) =>
  new Promise((resolve) => {
    const image = make("img", { alt: "", width: 40, height: 40 });
    image.addEventListener("load", () => {
      link.querySelector(".bai-app-icon").replaceChildren(image);
      resolve(true);
    });
    image.addEventListener("error", () => resolve(false));
    image.src = icon;
  });
/**
 * One after the other: the first may lead through the login of the session, where several at a
 * time are in each other's way.
 */
const loadIcons = async (list, apps) => {
  for (const { name, icon } of apps.filter((app) => app.icon && !(app.name in OURS))) {
    if (!list.isConnected) return;
    if (!await loadIcon(list.querySelector(`[data-app="${CSS.escape(name)}"]`), icon)) return;
  }
};

const categories = (apps) => [...Map.groupBy(apps, ({ category }) => category)];

/**
 * Opens an app on a port of its own. The window is made at once, while the browser knows that
 * somebody asked for it; one that asks for something first is led to where that is done.
 */
const openOnPort = async (app, openings) => {
  const shown = window.open("", "_blank");
  if (shown) shown.opener = null;
  const url = await openings.open(app.name);
  if (!shown) return;
  if (url) shown.location.replace(app.asks ? new URL(app.url, window.location) : url);
  else shown.close();
};

/** Shows what can be opened in a session; resolves when the dialog was closed. */
export const showApps = (session, service) => {
  const { name, apps } = session;
  const openings = new Openings(session, service, apps.some((app) => !(app.name in OURS)));
  const list = make(
    "div",
    { class: "bai-apps" },
    ...categories(apps).map(([category, some]) => make(
      "section",
      { "aria-label": category || "Apps" },
      make("h3", { class: "h6" }, category || "Apps"),
      make("ul", {}, ...some.map(entry)),
    )),
  );
  list.addEventListener("click", (event) => {
    const link = event.target.closest("[data-app]");
    const app = link && apps.find((one) => one.name === link.dataset.app);
    if (!app || app.name in OURS || !openings.areChosen) return;
    event.preventDefault();
    if (openings.areWhole) openOnPort(app, openings);
  });
  const closed = showPanel(`Apps of ${name}`, list, openings.element);
  loadIcons(list, apps);
  openings.load();
  return closed;
};
