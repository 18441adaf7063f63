// The page of opened apps: what is open and who can reach it, closed from here, and what was. It is
// asked again now and then. A superadmin sees everyone's.

import { ask } from "./dialog.js";
import { byId, make, write } from "./dom.js";
import { makeNotice } from "./notice.js";
import { counted, moment, size } from "./sessions_words.js";
import { used, whom } from "./openings_words.js";
import { visit } from "./service.js";

const RESTING_MS = 5000;
const LOGIN = 401;

const seesAll = byId("bai-apps-page").dataset.all === "true";
const notice = makeNotice();
let timer = null;
let again = () => {};

const complain = ({ status, message }) => {
  const what = status === LOGIN ? "Not logged in" : "The apps cannot be shown now";
  write(byId("bai-away-text"), `${what}: ${message}.`);
  byId("bai-away-again").hidden = status === LOGIN;
  byId("bai-away-reload").hidden = status !== LOGIN;
  byId("bai-away").hidden = false;
};

const heading = ({ app, name, user, public: isPublic }) => make(
  "div",
  {},
  make("strong", {}, app),
  ` of ${name}${seesAll ? `, ${user}` : ""} `,
  isPublic ? make("span", { class: "badge text-bg-warning" }, "public") : "",
);

const history = ({ opened, opened_by: by, opened_from: from }) =>
  `Opened ${moment(opened, Date.now())} by ${by} from ${from}`;

const close = async (service, opening) => {
  const { app, name, url, id } = opening;
  const isMeant = await ask({
    yes: "CLOSE",
    danger: true,
    title: `Close ${app} of ${name}?`,
    text: `Whoever uses it at ${url} is cut off at once. The session goes on.`,
  });
  if (!isMeant) return;
  try {
    await service.remove(`api/openings/${encodeURIComponent(id)}`);
    notice.tell({ text: `${app} of ${name} is closed: nobody reaches ${url} now.` });
  } catch (error) {
    notice.tell({ text: `${app} of ${name} was not closed.`, lines: [error.message] });
  }
  again();
};

const openItem = (service, opening) => {
  const { app, name, url } = opening;
  const button = make("button", {
    type: "button",
    class: "btn btn-sm btn-outline-danger",
    "aria-label": `Close ${app} of ${name}`,
  }, "Close");
  button.addEventListener("click", () => close(service, opening));
  return make(
    "li",
    { "data-opening": opening.id },
    heading(opening),
    make("a", { href: url, target: "_blank", rel: "noopener" }, url),
    make("span", { class: "bai-fine" }, whom(opening, Date.now())),
    make("span", { class: "bai-fine" }, `${history(opening)}; ${used(opening, Date.now())}`),
    button,
  );
};

const closedItem = (opening) => make(
  "li",
  {},
  heading(opening),
  make("span", { class: "bai-fine" }, `Port ${opening.port}. ${history(opening)}`),
  make(
    "span",
    { class: "bai-fine" },
    `Closed ${moment(opening.closed, Date.now())}: ${opening.why}; ${size(opening.bytes_out)} sent`,
  ),
);

const draw = (service, { open, closed }) => {
  byId("bai-away").hidden = true;
  write(byId("bai-count"), open.length ? counted(open.length, "app") : "");
  byId("bai-nothing").hidden = open.length > 0;
  write(byId("bai-nothing-first"), "No app is open.");
  write(byId("bai-nothing-then"), "Open one from the apps of a running session.");
  const focused = document.activeElement?.closest?.("[data-opening]")?.dataset.opening;
  byId("bai-open").replaceChildren(...open.map((one) => openItem(service, one)));
  if (focused) {
    const item = byId("bai-open").querySelector(`[data-opening="${CSS.escape(focused)}"] button`);
    (item || byId("bai-open")).focus();
  }
  byId("bai-closed").hidden = closed.length === 0;
  byId("bai-closed").querySelector("ul").replaceChildren(...closed.map(closedItem));
};

const begin = async () => {
  let service = null;
  const refresh = async () => {
    clearTimeout(timer);
    try {
      service ||= await visit();
      draw(service, await service.get("api/openings"));
    } catch (error) {
      complain(error);
    }
    clearTimeout(timer);
    timer = setTimeout(refresh, RESTING_MS);
  };
  again = refresh;
  await refresh();
};

byId("bai-notice").append(notice.element);
byId("bai-away-again").addEventListener("click", () => again());
byId("bai-away-reload").addEventListener("click", () => window.location.reload());
begin();
