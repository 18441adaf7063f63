// All that is known of one session: what it was granted, what became of it, and why it ended.

import { make } from "./dom.js";
import { now } from "./sessions_clock.js";
import { endOfLog } from "./sessions_log_end.js";
import { showPanel } from "./sessions_panel.js";
import {
  STATUSES, counted, duration, folderNames, inFull, kills, lengthening, moment, number, prolonging,
  size, timeLeft,
} from "./sessions_words.js";

const at = (iso) =>
  (iso ? make("time", { datetime: iso, title: inFull(iso) }, moment(iso, now())) : "");
const gpu = ({ fgpu, gpu: granted }) => {
  if (!fgpu) return "";
  if (!granted) return `${fgpu} fGPU`;
  const memory = granted.memory ? `, ${size(granted.memory)} of memory each` : "";
  return `${fgpu} fGPU: ${counted(granted.devices, "device")} by ${granted.isolation}${memory}`
    + ` (enforcement: ${granted.enforcement})`;
};
const usage = ({ used }) => (used
  ? `${number(used.cpu)} CPU, ${size(used.memory)} RAM, ${size(used.disk)} written, `
    + counted(used.processes, "process", "processes")
  : "");
const most = ({ peak, started }) => (started
  ? `${number(peak.cpu)} CPU, ${size(peak.memory)} RAM, ${size(peak.disk)} written,`
    + ` ${duration(peak.cpu_seconds)} of CPU time`
  : "");
const idle = ({ time }) =>
  (time && time.idle ? `after ${duration(time.idle.timeout)} without use` : "");
const lifetime = ({ time }) => {
  if (!time || !time.lifetime) return "";
  const { extend, left } = time.lifetime;
  const times = left > 1 ? `, ${left} times` : "";
  const more = extend && left ? `; can be extended by ${duration(extend)}${times}` : "";
  return `at ${moment(time.lifetime.ends, now())} at the latest${more}`;
};

/** What stands beside each other; what is empty is left out. */
const facts = (session) => [
  ["Status", STATUSES[session.status][0]],
  ["Why", session.reason && session.reason.words],
  ["Warning", session.warning],
  ["Memory", kills((session.used || session.peak).oom_kills)],
  ["Ends", session.status === "running" ? timeLeft(session.time, now()) : ""],
  ["Owner", session.user],
  ["Environment", `${session.environment.title} ${session.environment.version}`],
  ["Group", session.group.title],
  ["Granted", `${session.allocated.cpu} CPU, ${size(session.allocated.memory)} RAM,`
    + ` of which up to ${size(session.allocated.shm)} shared`],
  ["GPU", gpu(session.allocated)],
  ["Uses", usage(session)],
  ["Used at most", most(session)],
  ["Folders", folderNames(session.folders).join(", ") || "none"],
  ["Variables", session.variables.join(", ")],
  ["Limits", [idle(session), lifetime(session)].filter(Boolean).join("; ")],
  ["Started", at(session.started)],
  ["Ended", at(session.ended)],
  ["Node", session.node],
  ["Policy", session.policy],
  ["Server", session.server],
  ["Id", make("code", {}, session.id)],
].filter(([, told]) => told);

const course = ({ changes }) => make(
  "ol",
  { class: "bai-course" },
  ...changes.map((change) => make("li", {}, STATUSES[change.status][0], " ", at(change.at))),
);
const table = (session) => make(
  "dl",
  { class: "bai-facts" },
  ...facts(session).flatMap(([name, told]) => [make("dt", {}, name), make("dd", {}, told)]),
);

const draw = (place, session) => {
  place.replaceChildren(table(session), make("h3", { class: "h6" }, "Course"), course(session));
};

/**
 * Shows one; resolves when it was closed. `prolong(session, what)` resolves to the time that it
 * has then.
 */
export const showDetails = ({ id, name, ended }, { service, prolong }) => {
  const place = make("div", {}, make("p", { class: "bai-fine", role: "status" }, "Asking…"));
  const foot = make("div", { class: "bai-dialog-foot" });
  const path = `api/sessions/${encodeURIComponent(id)}`;
  const offered = (session) => ({ what, label }) => {
    const classes = "btn btn-sm btn-outline-contrast";
    const button = make("button", { type: "button", class: classes }, label);
    button.addEventListener("click", async () => {
      button.disabled = true;
      await prolong(session, what);
      await fill();
      // the button is gone, or another one
      (foot.querySelector("button") || foot.closest("dialog")?.querySelector("button"))?.focus();
    });
    return button;
  };
  const offer = (session) => {
    const can = [prolonging(session.time), lengthening(session.time)].filter(Boolean);
    const each = can.filter(({ what }, index) => index === 0 || what !== can[0].what);
    foot.replaceChildren(...each.map(offered(session)));
  };
  const fill = async () => {
    try {
      const session = await service.get(path);
      draw(place, session);
      offer(session);
    } catch (error) {
      const why = `This cannot be shown now: ${error.message}. Close it, and try again.`;
      place.replaceChildren(make("p", { class: "alert alert-warning", role: "alert" }, why));
    }
  };
  const closed = showPanel(name, place, ...(ended ? [endOfLog(service, id)] : []), foot);
  fill();
  return closed;
};
