// Launches what was kept with one click: its fields are posted to the launch form's own address,
// as the form would post them, so that a refusal shows on the form with everything in it.

import { ask } from "./dialog.js";
import { make } from "./dom.js";
import { essential, mountsAnything } from "./fields.js";
import { isNameTaken } from "./free_name.js";
import { newServer } from "./new_server.js";

const SESSIONS = new URL("../../", import.meta.url).pathname;

/**
 * Posts the fields of a launch; asks first when no folder would be mounted (R18).
 *
 * `spawn` is the address of the user's launch forms, `automatic` whether folders are mounted by
 * themselves, `names` are those of the user's live sessions. Resolves to whether it was posted.
 */
export const launchAgain = async (fields, { spawn, xsrf, automatic, names }) => {
  const mounted = automatic || mountsAnything(fields);
  const accepted = mounted || await ask({
    title: "No data folder is mounted",
    text: "Every file of the session is deleted when it ends. To keep some, cancel, and press"
      + " START to choose a folder.",
    yes: "LAUNCH",
  });
  if (!accepted) return false;
  const sent = {
    ...essential(fields),
    ...(isNameTaken(fields, names) ? { session_name: [""] } : {}),
    ...(mounted ? {} : { alone: ["1"] }),
  };
  const query = new URLSearchParams({ _xsrf: xsrf });
  // the hub would open the first of several; the Sessions page lists all of them
  if (Number(sent.sessions) > 1) query.set("next", SESSIONS);
  const form = make("form", {
    method: "post",
    enctype: "multipart/form-data",
    action: `${spawn}/${newServer()}?${query}`,
    hidden: true,
  });
  for (const [name, values] of Object.entries(sent)) {
    for (const value of values) {
      const box = make("textarea", { name });  // keeps line breaks, and needs no escaping
      box.value = value;
      form.append(box);
    }
  }
  document.body.append(form);
  form.submit();
  return true;
};
