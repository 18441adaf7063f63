// Where the hub leads after the launch: one session opens, of several the Sessions page lists all.
// Without this the hub would open the first of them, where they start faster than a page does.

import { count, form } from "./form.js";

const sessions = new URL(form.querySelector(".bai-submit > a").href).pathname;

export const leadOn = () => {
  const address = new URL(form.action);
  const { searchParams: asked } = address;
  if (count() > 1) asked.set("next", sessions);
  else if (asked.get("next") === sessions) asked.delete("next");  // left from a form that was refused
  form.action = address.href;
};
