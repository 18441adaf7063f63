// A session's name is for one live session at a time (R4): what is launched again while its name
// is taken is launched without one, and a word is drawn.

import { last } from "./fields.js";

/** Whether a launch with these fields would take a name of `names`, those of live sessions. */
export const isNameTaken = (fields, names) => {
  const name = last(fields, "session_name").trim();
  if (!name) return false;
  const isNumbered = (taken) => taken.startsWith(name) && /^\d+$/.test(taken.slice(name.length));
  return names.some(last(fields, "sessions") > 1 ? isNumbered : (taken) => taken === name);
};
