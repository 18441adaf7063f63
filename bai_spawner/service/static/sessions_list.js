// The rows of the list, one for each session, kept for as long as it is shown. While a dialog is
// open no row comes, goes or moves: what is under the pointer is what was there.

import { byId } from "./dom.js";
import { hasGpu } from "./sessions_amounts.js";
import { makeRow } from "./sessions_row.js";

const table = byId("bai-list");
const body = table.tBodies[0];
const rows = new Map();
let waiting = null;
let measured = null;

const isAsking = () => Boolean(document.querySelector("dialog[open]"));

/** The row of what happened in the list. */
export const rowOf = (target) => rows.get(target.closest("tr").dataset.id);
export const rowById = (id) => rows.get(id);
export const shownRows = () => [...rows.values()];

/** Where the focus goes when its row does: to the one that is there now, or to the list. */
const refocus = (place) => {
  const next = body.children[Math.min(place, body.children.length - 1)];
  (next ? rowOf(next).about : table).focus({ preventScroll: true });
};

const drawMeasured = () => {
  if (!measured) return;
  for (const [id, row] of rows) {
    if (id in measured.time && !row.session.ended) {
      const { used, time, public: open } = measured;
      row.update({
        ...row.session, used: used[id] || null, time: time[id], public: open[id] || 0,
      });
    }
  }
};

const arrange = (sessions) => {
  const focused = body.contains(document.activeElement) ? document.activeElement : null;
  const place = focused ? [...body.children].indexOf(focused.closest("tr")) : 0;
  const wanted = new Set(sessions.map(({ id }) => id));
  for (const [id, row] of rows) {
    if (wanted.has(id)) continue;
    row.element.remove();
    rows.delete(id);
  }
  let at = body.firstElementChild;
  for (const session of sessions) {
    const known = rows.get(session.id);
    if (known) known.update(session);
    else rows.set(session.id, makeRow(session));
    const { element } = rows.get(session.id);
    if (element === at) at = at.nextElementSibling;
    else body.insertBefore(element, at);
  }
  drawMeasured();
  if (!focused || focused === document.activeElement) return;
  if (focused.isConnected) focused.focus({ preventScroll: true });  // its row was moved
  else refocus(place);
};

/** Shows these sessions, in this order; `drawn` is called when it has. */
export const show = (sessions, drawn) => {
  if (isAsking()) {
    for (const session of sessions) rows.get(session.id)?.update(session);
    drawMeasured();
    waiting = () => show(sessions, drawn);
    return;
  }
  waiting = null;
  arrange(sessions);
  table.classList.toggle("bai-no-gpu", !sessions.some(hasGpu));
  drawn();
};

/** What was measured, when sessions are to end, and what is public of them, by session. */
export const measure = (told) => {
  measured = told;
  drawMeasured();
};

/** A list is asked for: what is measured from now on is newer than what it will say. */
export const asked = () => {
  measured = null;
};

setInterval(() => {
  if (waiting && !isAsking()) waiting();
  if (!document.hidden) rows.forEach((row) => row.tick());
}, 1000);
