// Ends sessions, one or several, once somebody has read what is lost with them (R22, R39).

import { ask } from "./dialog.js";
import { make } from "./dom.js";
import { now } from "./sessions_clock.js";
import { rowById } from "./sessions_list.js";
import { duration, isStarting, kept, moment, size, until } from "./sessions_words.js";

const TIMEOUT_MS = 45_000;  // the hub waits for a session to end before it answers
const AT_A_TIME = 4;
const LOST = "its files outside of mounted folders are deleted: notebooks, installed packages,"
  + " settings";

const lasted = ({ started }) => (started ? duration(-until(started, now())) : "");
const written = ({ used }) => (used && used.disk ? size(used.disk) : "");

/** Whose a session is, where that is not who asks. */
const called = ({ name, user }, me) => (user === me ? name : `${name} of ${user}`);

const aboutOne = (session) => {
  if (isStarting(session)) return "It does not run yet: nothing in it is lost.";
  const since = session.started
    ? `It has run since ${moment(session.started, now())}, for ${lasted(session)}. ` : "";
  const much = written(session) ? ` (${written(session)} in all)` : "";
  return `${since}Everything in it ends, and ${LOST}${much}.`;
};

const line = (session, me) => {
  const name = make("strong", {}, called(session, me));
  if (isStarting(session)) return make("li", {}, name, ": its start is cancelled");
  const much = written(session) ? `, ${written(session)} are deleted` : "";
  return make("li", {}, name, `: has run for ${lasted(session)}${much}. ${kept(session.folders)}`);
};

const question = (sessions, me) => {
  const [first] = sessions;
  if (sessions.length > 1) {
    return {
      title: `Terminate ${sessions.length} sessions?`,
      text: "Everything in them ends, and their files outside of mounted folders are deleted.",
      more: [make("ul", { class: "bai-losses" }, ...sessions.map((one) => line(one, me)))],
    };
  }
  if (isStarting(first)) {
    const title = `Cancel the start of ${called(first, me)}?`;
    return { title, text: aboutOne(first), no: "Let it start" };
  }
  return {
    title: `Terminate ${called(first, me)}?`,
    text: aboutOne(first),
    more: [make("p", {}, kept(first.folders))],
  };
};

/** Calls `work` for each of them, a few at a time. */
const each = async (some, work) => {
  const left = [...some];
  const next = async () => {
    while (left.length) await work(left.shift());
  };
  await Promise.all(Array.from({ length: AT_A_TIME }, next));
};

const tell = (notice, sessions, refusals) => {
  const done = sessions.length - refusals.length;
  const [{ name }] = sessions;
  if (!refusals.length) {
    const text = done > 1 ? `${done} sessions are ending` : `${name} is ending`;
    notice.tell({ text: `${text}: then FINISHED has ${done > 1 ? "them" : "it"}.` });
    return;
  }
  const text = sessions.length > 1
    ? `${done} of ${sessions.length} sessions are ending. These were not ended:`
    : `${name} was not ended:`;
  notice.tell({ text, lines: refusals });
};

/**
 * Asks, and ends them. `refresh()` has the list shown anew, `drawn()` is called when rows changed,
 * and `notice` is told what came of it.
 */
export const terminate = async (sessions, { service, notice, refresh, drawn }) => {
  const isMeant = await ask({ yes: "OKAY", danger: true, ...question(sessions, service.user) });
  if (!isMeant) return;
  sessions.forEach(({ id }) => rowById(id)?.ask(true));
  drawn();
  const refusals = [];
  if (sessions.length > 1) notice.tell({ text: `Ending ${sessions.length} sessions…` });
  await each(sessions, async (session) => {
    try {
      await service.remove(`api/sessions/${encodeURIComponent(session.id)}`, TIMEOUT_MS);
    } catch (error) {
      rowById(session.id)?.ask(false);
      refusals.push(`${called(session, service.user)}: ${error.message}`);
    }
  });
  tell(notice, sessions, refusals);
  await refresh();
  sessions.forEach(({ id }) => rowById(id)?.ask(false));
  drawn();
};
