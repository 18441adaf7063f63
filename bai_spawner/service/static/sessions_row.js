// One session in the list: drawn once, and then written to where something changed, so that the
// focus, what is selected and what the pointer is on stay where they are.

import { byId, make, write } from "./dom.js";
import { drawAmount, hasGpu } from "./sessions_amounts.js";
import { now } from "./sessions_clock.js";
import {
  STATUSES, duration, folderNames, inFull, isStarting, kills, moment, prolonging, several,
  timeLeft, until, withMore,
} from "./sessions_words.js";

const FOLDERS = 3;
const ELSEWHERE = "in a new window";
const CLOSE_THEM = "Apps open to the public: close them under Apps";

const show = (element, on) => {
  if (element.hidden === on) element.hidden = !on;
};
const set = (element, name, value) => {
  if (element.getAttribute(name) !== value) element.setAttribute(name, value);
};
const lead = (link, href) => {
  show(link, Boolean(href));
  if (href) set(link, "href", href);
};
const call = (element, label, title = label) => {
  set(element, "aria-label", label);
  set(element, "title", title);
};

/** The badge of what is open to the public; it leads to where that is closed. */
const makeBadge = () => make("button", {
  type: "button",
  class: "badge text-bg-warning bai-public",
  title: CLOSE_THEM,
  "data-part": "public",
  "data-act": "apps",
  hidden: true,
});

/**
 * A row for a session: `element` for the table; `update(session)` when it changed, `ask(on)`
 * while its end is asked for, and `tick()` as time goes by.
 */
export const makeRow = (first) => {
  const element = byId("bai-row").content.firstElementChild.cloneNode(true);
  element.dataset.id = first.id;
  element.querySelector("[data-part=status]").after(" ", makeBadge());
  const parts = new Map(
    [...element.querySelectorAll("[data-part]")].map((one) => [one.dataset.part, one]),
  );
  const part = (name) => parts.get(name);
  let session = first;
  let isAsked = false;

  const drawName = ({ name, user, links }) => {
    write(part("title"), links.open ? "" : name);
    write(part("open"), links.open ? name : "");
    lead(part("open"), links.open);
    show(part("title"), !links.open);
    if (parts.has("owner")) write(part("owner"), `of ${user}`);
    call(part("about"), `All about ${name}`);
    set(part("pick"), "aria-label", `Select ${name}`);
  };
  const drawPlace = ({ environment, group, folders }) => {
    set(part("icon"), "class", `${environment.icon} fa-fw`);
    write(part("environment"), environment.title);
    write(part("version"), environment.version);
    write(part("group"), group.title);
    write(part("folders"), folders.length ? several(folderNames(folders), FOLDERS) : "none");
    set(part("folders"), "title", folderNames(folders).join(", "));
  };
  const drawMoment = (time, iso) => {
    write(time, iso ? moment(iso, now()) : "–");
    if (!iso) return;
    set(time, "datetime", iso);
    set(time, "title", inFull(iso));
  };
  const drawStatus = ({ status, reason, warning, used, peak }) => {
    const [words, colour] = STATUSES[status];
    write(part("status"), words);
    set(part("status"), "class", `badge text-bg-${colour}`);
    write(part("reason"), reason ? reason.words : "");
    write(part("warning"), warning);
    write(part("kills"), kills((used || peak).oom_kills));
    for (const name of ["reason", "warning", "kills"]) {
      show(part(name), part(name).textContent !== "");
    }
  };
  const drawPublic = ({ name, public: open }) => {
    const words = open > 1 ? `${open} public` : "public";
    write(part("public"), words);
    set(part("public"), "aria-label", `${words}: apps of ${name}`);
    show(part("public"), open > 0);
  };
  const drawControls = (shown) => {
    const { name, status, links, relaunch, apps, ended } = shown;
    const isStopping = status === "terminating";
    lead(part("go"), links.open);
    show(part("apps"), apps.length > 0 && !isStopping);
    lead(part("terminal"), isStopping ? null : links.terminal);
    lead(part("progress"), links.progress);
    show(part("power"), !ended && !isStopping);
    lead(part("log"), links.log);
    lead(part("more"), ended ? relaunch.more_memory : null);
    lead(part("relaunch"), ended ? relaunch.same : null);
    write(part("more"), relaunch.more_memory ? withMore(relaunch) : "");
    call(part("go"), `Open ${name} ${ELSEWHERE}`);
    call(part("apps"), `Apps of ${name}`);
    call(part("terminal"), `Terminal of ${name} ${ELSEWHERE}`);
    call(part("progress"), `Progress of ${name}`);
    call(part("power"), isStarting(shown) ? `Cancel the start of ${name}` : `Terminate ${name}`);
    call(part("log"), ended ? `Log of ${name}` : `Log of ${name} ${ELSEWHERE}`);
    set(part("more"), "aria-label", `${part("more").textContent}: ${name}`);
    set(part("relaunch"), "aria-label", `Relaunch ${name}`);
    if (ended) part("log").removeAttribute("target");
    else set(part("log"), "target", "_blank");
  };
  const shown = () => (isAsked && !session.ended ? { ...session, status: "terminating" } : session);
  const tick = () => {
    const { started, ended, elapsed, time, status } = shown();
    const lasted = ended ? elapsed : started && -until(started, now());
    write(part("elapsed"), lasted === null ? "–" : duration(lasted));
    const left = status === "running" ? timeLeft(time, now()) : "";
    write(part("left"), left);
    show(part("left"), left !== "");
    part("left").classList.toggle("bai-soon", Boolean(time && time.warned));
  };
  const drawTime = ({ name, time, status }) => {
    const can = status === "running" && time && time.warned ? prolonging(time) : null;
    show(part("prolong"), Boolean(can));
    if (!can) return;
    write(part("prolong"), can.label);
    set(part("prolong"), "aria-label", `${can.label}: ${name}`);
    part("prolong").dataset.what = can.what;
  };
  const draw = () => {
    const current = shown();
    const focused = element.contains(document.activeElement) ? document.activeElement : null;
    element.dataset.status = current.status;
    element.dataset.gpu = hasGpu(current) ? "some" : "none";
    const mayPick = !current.ended && current.status !== "terminating";
    part("pick").disabled = !mayPick;
    if (!mayPick) part("pick").checked = false;
    drawName(current);
    drawPlace(current);
    for (const key of ["cpu", "memory", "gpu"]) drawAmount(part(key), key, current);
    drawMoment(part("started"), current.started);
    drawMoment(part("ended"), current.ended);
    drawStatus(current);
    drawPublic(current);
    drawTime(current);
    drawControls(current);
    tick();
    // a control that is gone takes the focus with it
    if (focused && (focused.closest("[hidden]") || focused.disabled)) part("about").focus();
  };

  draw();
  return {
    element,
    pick: part("pick"),
    about: part("about"),
    /** As it is shown, and as it was told. */
    get shown() {
      return shown();
    },
    get session() {
      return session;
    },
    update: (next) => {
      session = next;
      draw();
    },
    ask: (on) => {
      isAsked = on;
      draw();
    },
    tick,
  };
};

