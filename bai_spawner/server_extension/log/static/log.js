// The log of the session as a page: it follows, stops when it is read, and says what is amiss.

import { MOST_LINES } from "./lines.js";
import { Stream } from "./stream.js";
import { aboutDropped, makeViewer, many, write, writeOrHide } from "./viewer.js";

const byId = (id) => document.getElementById(id);
let connected = false;

const tell = () => {
  const { lines } = viewer;
  const empty = connected && !lines.shown.length && !lines.waiting;
  write(byId("state"), !connected ? "Not connected" : lines.paused ? "Paused" : "Following");
  write(byId("waiting"), lines.paused && lines.waiting ? many(lines.waiting, "new line") : "");
  writeOrHide(byId("note"), aboutDropped(lines) || (empty ? "Nothing has been written yet." : ""));
  byId("follow").setAttribute("aria-pressed", String(!lines.paused));
};
const viewer = makeViewer({ tools: byId("tools"), place: byId("main"), drawn: tell });
const { lines, draw, pause } = viewer;

const problem = (words, { ended = false } = {}) => {
  writeOrHide(byId("problem"), words);
  byId("kept").hidden = !ended || !byId("sessions").getAttribute("href");
  byId("again").hidden = !words;
  draw();
};

const stream = new Stream(`api/log?follow=1&lines=${MOST_LINES}`, {
  piece(text) {
    lines.take(text);
    draw();
  },
  gap(words) {
    lines.say(words);
    draw();
  },
  live() {
    connected = true;
    problem("");
  },
  held() {
    connected = false;
    draw();
  },
  lost(words, seconds) {
    connected = false;
    problem(`The log cannot be read: ${words}. Trying again in ${many(seconds, "second")}.`);
  },
  refused(words) {
    connected = false;
    problem(`The log cannot be read: ${words}. If you were logged out, load this page again.`);
  },
  ended() {
    connected = false;
    problem("The session is not running any more: nothing is added to this log.", { ended: true });
  },
});

byId("again").addEventListener("click", () => stream.again());
byId("follow").addEventListener("click", () => pause(!lines.paused));

// a page that nobody sees needs no connection, of which the server has few
const seen = () => stream.hold(document.hidden);
document.addEventListener("visibilitychange", seen);

tell();
seen();
stream.run();
