// Whether the page knows what is going on: how old its numbers are, and a bar where it cannot ask.

import { byId, write } from "./dom.js";
import { clock, duration } from "./sessions_words.js";

const OLD = 60;
const LOGIN = 401;
const bar = byId("bai-away");
const stamp = byId("bai-stamp");
let heard = null;
let measured = null;  // when the hub measured, by both of the page's own clocks

/**
 * Seconds since then. One clock may be set back, the other stand still while the machine sleeps:
 * numbers are said to be rather too old than too new.
 */
const since = ({ running, date }) =>
  Math.max(0, performance.now() - running, Date.now() - date) / 1000;

const drawStamp = () => {
  if (!heard) return;
  const age = measured === null ? null : since(measured);
  write(stamp, age === null ? "usage is not measured yet" : `updated ${duration(age)} ago`);
  stamp.classList.toggle("bai-old", age !== null && age > OLD);
};

/** The service answered; `age` is that of the hub's measurements, in seconds. */
export const made = (age) => {
  heard = new Date();
  const before = age * 1000;
  measured = age === null
    ? null : { running: performance.now() - before, date: Date.now() - before };
  bar.hidden = true;
  drawStamp();
};

/** It did not, or not with what was asked for. */
export const failed = ({ status, message }) => {
  const known = heard ? ` Shown is what was known at ${clock(heard)}.` : "";
  const what = status === LOGIN ? "Not logged in" : "Not connected to the sessions service";
  write(byId("bai-away-text"), `${what}: ${message}.${known}`);
  byId("bai-away-again").hidden = status === LOGIN;
  byId("bai-away-reload").hidden = status !== LOGIN;
  bar.hidden = false;
};

/** `again()` is called when somebody asks for it. */
export const prepareContact = (again) => {
  byId("bai-away-again").addEventListener("click", again);
  byId("bai-away-reload").addEventListener("click", () => window.location.reload());
  setInterval(drawStamp, 1000);
};
