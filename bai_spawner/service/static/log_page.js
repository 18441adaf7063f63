// The log of a session that has ended, in the viewer of a session's own log page, and what became
// of the session. A log that cannot be read, or that nobody kept, never looks like an empty one.

import { byId, make, write } from "./dom.js";
import { visit } from "./service.js";
import { clock, duration, inFull, moment, size, STATUSES } from "./sessions_words.js";
import { aboutDropped, makeViewer, writeOrHide } from "./viewer/viewer.js";

const MORE_MEMORY = 2;
const NEVER = "No log was kept: the session printed nothing, or never came to print.";
const page = byId("bai-log").dataset;
const path = `api/sessions/${encodeURIComponent(page.session)}`;
const place = byId("place");
const note = byId("note");
const tools = byId("tools");
const viewer = makeViewer({ tools, place, drawn: () => write(note, aboutDropped(viewer.lines)) });
const search = tools.querySelector(".search");

// ---- what became of the session
const sentence = ({ status, reason, ended, elapsed, started }) => {
  const words = reason ? reason.words : "";
  const at = make("time", { datetime: ended, title: inFull(ended) }, moment(ended, Date.now()));
  const lasted = started && elapsed !== null ? `, after ${duration(elapsed)}` : "";
  const [label, colour] = STATUSES[status];
  return [
    make("span", { class: `badge text-bg-${colour}` }, label),
    words ? ` ${words}. ` : " ",
    "It ended: ", at, `${lasted}.`,
  ];
};
const lead = (link, href) => {
  link.hidden = !href;
  if (href) link.href = href;
};
const tellSession = (session) => {
  byId("bai-about").replaceChildren(...sentence(session));
  const { relaunch, allocated, tab } = session;
  write(byId("bai-more"), `RELAUNCH WITH ${size(MORE_MEMORY * allocated.memory)}`);
  lead(byId("bai-more"), relaunch.more_memory);
  lead(byId("bai-relaunch"), relaunch.same);
  byId("bai-back").search = new URLSearchParams({ tab });
};

// ---- its log
const offer = (text) => {
  const download = byId("bai-download");
  download.href = URL.createObjectURL(new Blob([text], { type: "text/plain" }));
  download.download = `${page.name}.log`;
  download.hidden = false;
};
const tellLog = (isKept, text) => {
  search.hidden = !isKept;
  place.hidden = !isKept;
  if (!isKept) {
    write(note, NEVER);
    return;
  }
  offer(text);
  viewer.lines.take(text);
  viewer.draw();
};
const problem = (words) => {
  writeOrHide(byId("problem"), words);
  byId("bai-again").hidden = !words;
};

// ---- begin
const load = async () => {
  problem("");
  try {
    const service = await visit();
    const session = await service.get(path);
    tellSession(session);
    const answer = await service.open(`${path}/log`, new AbortController().signal);
    tellLog(answer.headers.get("X-Bai-Log") !== "none", await answer.text());
  } catch ({ message }) {
    write(note, "");
    problem(`The log cannot be read: ${message}.`);
  }
};
search.hidden = true;
place.hidden = true;
byId("bai-again").firstElementChild.addEventListener("click", load);
load();
