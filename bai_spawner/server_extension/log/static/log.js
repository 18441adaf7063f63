// The log of the session as a page: it follows, stops when it is read, and says what is amiss.

import { Lines, MOST_LINES } from "./lines.js";
import { Search } from "./search.js";
import { Stream } from "./stream.js";

const byId = (id) => document.getElementById(id);
const box = byId("log");
const lines = new Lines(box);
const search = new Search(lines);

/** Writes a text where it differs: a live region that did not change says nothing. */
const write = (id, text) => {
  const element = byId(id);
  if (element.textContent !== text) element.textContent = text;
  return element;
};
const writeOrHide = (id, text) => {
  write(id, text).hidden = !text;
};
const many = (count, what) => `${count.toLocaleString("en")} ${what}${count === 1 ? "" : "s"}`;

let connected = false;
let drawing = 0;

const tell = () => {
  const empty = connected && !lines.shown.length && !lines.waiting;
  write("state", !connected ? "Not connected" : lines.paused ? "Paused" : "Following");
  write("waiting", lines.paused && lines.waiting ? many(lines.waiting, "new line") : "");
  writeOrHide("note", lines.dropped
    ? `Older lines are not shown: the page has room for ${MOST_LINES.toLocaleString("en")}.`
    : empty ? "Nothing has been written yet." : "");
  byId("follow").setAttribute("aria-pressed", String(!lines.paused));
};

const toTheEnd = () => {
  if (!lines.paused) box.scrollTop = box.scrollHeight;
};

const searched = () => {
  write("hits", search.words);
  for (const id of ["previous", "next"]) byId(id).disabled = !search.any;
};

/** Draws what came, once a frame at most however much comes. */
const draw = () => {
  drawing ||= requestAnimationFrame(() => {
    drawing = 0;
    if (!lines.paused) {
      lines.show();
      search.refresh();
      searched();
      toTheEnd();
    }
    tell();
  });
};

const pause = (paused) => {
  lines.paused = paused;
  draw();
};

const problem = (words) => {
  writeOrHide("problem", words);
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
});

byId("again").addEventListener("click", () => stream.again());
byId("follow").addEventListener("click", () => pause(!lines.paused));

// who scrolls back reads: nothing may move then
box.addEventListener("scroll", () => {
  const below = box.scrollHeight - box.scrollTop - box.clientHeight;
  if (!lines.paused && below > 48) pause(true);
});
new ResizeObserver(toTheEnd).observe(box);

const go = (step) => {
  const found = search.go(step);
  if (!found) return;
  pause(true);
  found.scrollIntoView({ block: "center" });
  searched();
};

byId("search").addEventListener("input", ({ target }) => {
  search.text = target.value;
  searched();
});
byId("search").addEventListener("keydown", (event) => {
  if (event.key === "Enter") go(event.shiftKey ? -1 : 1);
});
byId("next").addEventListener("click", () => go(1));
byId("previous").addEventListener("click", () => go(-1));

// a page that nobody sees needs no connection, of which the server has few
const seen = () => stream.hold(document.hidden);
document.addEventListener("visibilitychange", seen);

tell();
seen();
stream.run();
