// The Sessions page: it asks for the list that its address says, follows what becomes of it, and
// does with sessions what its user asks for.

import { byId, write } from "./dom.js";
import { newServer } from "./new_server.js";
import { makeNotice } from "./notice.js";
import { visit } from "./service.js";
import { showApps } from "./sessions_apps.js";
import { tellChanges } from "./sessions_changes.js";
import { drawChoice, prepareChoice } from "./sessions_choice.js";
import { heard } from "./sessions_clock.js";
import * as contact from "./sessions_contact.js";
import { showDetails } from "./sessions_details.js";
import { follow } from "./sessions_feed.js";
import { drawQuestion, prepareFilters } from "./sessions_filters.js";
import * as list from "./sessions_list.js";
import { showParts } from "./sessions_parts.js";
import { prolong } from "./sessions_prolong.js";
import { isFiltered, read, toAddress, toService } from "./sessions_question.js";
import { prepareTable } from "./sessions_table.js";
import { terminate } from "./sessions_terminate.js";
import { oneAtATime } from "./sessions_turns.js";

const WRONG = 400;
const VISIT_MS = 5000;
const table = byId("bai-list");
const notice = makeNotice();
let question = read(window.location.search);
let answer = null;
/** What `answer` is an answer to. */
let answered = null;

// ---- the list
const NOTHING = {
  running: [
    "No session is running.",
    "START opens the launch form: choose an environment, folders and resources.",
  ],
  finished: [
    "No session has finished yet.",
    "What ended is listed here with its log, and can be launched again.",
  ],
  others: [
    "Nothing went wrong.",
    "What ended with an error is listed here, with the reason and the end of its log.",
  ],
};
const drawNothing = () => {
  const isFound = answer.sessions.length > 0;
  table.hidden = !isFound;
  byId("bai-nothing").hidden = isFound;
  const filtered = isFiltered(question);
  const [first, then] = filtered
    ? ["No session matches.", "Change what is searched for, or show all."] : NOTHING[question.tab];
  write(byId("bai-nothing-first"), first);
  write(byId("bai-nothing-then"), then);
  byId("bai-nothing-clear").hidden = !filtered;
};
const take = (service, fresh) => {
  const before = answered === question ? answer : null;
  [answer, answered] = [fresh, question];
  heard(fresh.now);
  contact.made(fresh.age);
  table.dataset.tab = question.tab;
  drawQuestion(question, fresh);
  list.show(fresh.sessions, () => {
    drawNothing();
    drawChoice();
  });
  table.removeAttribute("aria-busy");
  if (before) tellChanges(before.sessions, fresh.sessions, { question, service, notice });
};
const refuse = (error) => {
  if (error.status !== WRONG) {
    contact.failed(error);
    return;
  }
  table.removeAttribute("aria-busy");
  notice.tell({ text: "That cannot be asked for.", lines: [error.message] });
};

/** What asks for the list, and resolves to whether it was told. */
const makeRefresh = (service, { shown, beyond }) => oneAtATime(async () => {
  const asked = question;
  let fresh;
  list.asked();
  try {
    fresh = await service.get(`api/sessions${toService(asked)}`);
  } catch (error) {
    if (asked === question) refuse(error);
    return error.status === WRONG;
  }
  if (asked !== question) return true;  // what is asked for now is asked for next
  if (fresh.page > fresh.pages) {
    beyond(fresh.pages);
  } else {
    take(service, fresh);
    shown();
  }
  return true;
});

// ---- what is done with a session
const prepareActs = (service, refresh) => {
  const acting = { service, notice, refresh, drawn: drawChoice };
  const lengthened = new Set();  // a second press would ask for a second time
  const lengthen = async (session, what) => {
    if (lengthened.has(session.id)) return;
    lengthened.add(session.id);
    const given = await prolong(session, what, { service, notice });
    if (given) await refresh();
    lengthened.delete(session.id);
  };
  const acts = {
    about: ({ session }) => showDetails(session, { service, prolong: lengthen }),
    apps: ({ session }) => showApps(session, service),
    power: ({ shown }) => terminate([shown], acting),
    prolong: ({ session }, { dataset }) => lengthen(session, dataset.what),
  };
  table.tBodies[0].addEventListener("click", ({ target }) => {
    const button = target.closest("[data-act]");
    if (button) acts[button.dataset.act](list.rowOf(button), button);
  });
  prepareChoice((sessions) => terminate(sessions, acting));
};

// ---- begin
const visited = async () => {
  for (;;) {
    try {
      return await visit();
    } catch (error) {
      contact.failed(error);
    }
    await new Promise((resolve) => { setTimeout(resolve, VISIT_MS); });
  }
};

/** START leads to a server that was never used, however often it is pressed. */
const renewStart = () => {
  const start = byId("bai-start");
  start.href = start.href.replace(/[^/]+$/, newServer());
};

const begin = async () => {
  let again = () => window.location.reload();
  byId("bai-notice").append(notice.element);
  drawQuestion(question, null);
  contact.prepareContact(() => again());
  const service = await visited();
  const parts = showParts(service);
  let isTyping = false;
  const ask = (next, { typing = false, step = true } = {}) => {
    question = next;
    const address = window.location.pathname + toAddress(next);
    // what was typed is one step back, and not as many as there are letters
    if (!step || (typing && isTyping)) window.history.replaceState(null, "", address);
    else window.history.pushState(null, "", address);
    isTyping = typing;
    drawQuestion(question, answer);
    table.setAttribute("aria-busy", "true");
    refresh();
  };
  let heralded = null;  // the version that was told of before there was a list
  const shown = () => {
    parts.refresh();
    const isOld = heralded !== null && heralded !== answer.version;
    heralded = null;
    if (isOld) refresh();
  };
  const refresh = makeRefresh(service, {
    shown,
    beyond: (last) => ask({ ...question, page: last }, { step: false }),
  });
  prepareFilters({ question: () => question, ask });
  prepareTable(service, { question: () => question, notice });
  prepareActs(service, refresh);
  window.addEventListener("popstate", () => ask(read(window.location.search), { step: false }));
  const state = (told) => {
    contact.made(told.age);
    list.measure(told);
    if (!answer) heralded = told.version;
    const isOld = answer !== null && told.version !== answer.version;
    if (answer && !isOld) parts.measured();
    return isOld;
  };
  ({ again } = follow(service, { state, refresh }));
};

byId("bai-start").addEventListener("click", () => setTimeout(renewStart));
byId("bai-start").addEventListener("auxclick", () => setTimeout(renewStart));
window.addEventListener("pageshow", renewStart);
begin();
