// What became of sessions since the list was drawn before, for those who do not see it: a screen
// reader is told of a change, and everyone of a session that ended without having been asked to.

import { byId, make, write } from "./dom.js";
import { changed, toAddress } from "./sessions_question.js";
import { STATUSES, TABS, withMore } from "./sessions_words.js";

const MOST = 3;
const ASKED_FOR = ["user", "cancelled"];
const region = byId("bai-changes");

const say = (sentences) => {
  const more = sentences.length - MOST;
  const told = sentences.slice(0, MOST).join(" ");
  write(region, more > 0 ? `${told} ${more} more sessions changed.` : told);
};

const sentence = ({ name, status, reason }) =>
  `${name}: ${STATUSES[status][0]}${reason ? `, ${reason.words}` : ""}.`;

/** Links to go on with, where sessions ended that nobody had asked to end. */
const links = (ended, question) => {
  const tabs = [...new Set(ended.map(({ tab }) => tab))];
  const found = tabs.map((tab) =>
    make("a", { href: toAddress(changed(question, { tab })) }, `Show ${TABS[tab]}`));
  const [{ relaunch }] = ended;
  if (ended.length === 1 && relaunch.more_memory) {
    found.unshift(make("a", { href: relaunch.more_memory }, withMore(relaunch)));
  }
  return found;
};

/**
 * Tells of what is different in `after`, another answer to the same question.
 *
 * Who is not there any more may have ended, or only left the page: the service is asked.
 */
export const tellChanges = async (before, after, { question, service, notice }) => {
  const old = new Map(before.map((session) => [session.id, session]));
  const here = new Set(after.map(({ id }) => id));
  const said = after.filter(({ id, status }) => old.has(id) && old.get(id).status !== status);
  const gone = before.filter(({ id, ended }) => !here.has(id) && !ended);
  const ended = [];
  for (const { id } of gone.slice(0, MOST)) {
    try {
      const found = await service.get(`api/sessions/${encodeURIComponent(id)}`);
      if (found.ended) ended.push(found);
    } catch {
      // the list says all there is to say
    }
  }
  const sentences = [...said, ...ended].map(sentence);
  if (sentences.length) say(sentences);
  const surprises = ended.filter(({ user, reason }) =>
    user === service.user && reason && !ASKED_FOR.includes(reason.key));
  if (!surprises.length) return;
  const dismiss = make("button", { type: "button", class: "btn btn-sm btn-link" }, "Dismiss");
  dismiss.addEventListener("click", () => notice.element.replaceChildren());
  const text = surprises.map(sentence).join(" ");
  notice.tell({ text, links: [...links(surprises, question), dismiss] });
};
