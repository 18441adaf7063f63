// Nothing is mounted: the launch asks first (R18), in place of the box that the plain page has.

import { byId, make, write } from "./dom.js";
import { ask } from "./dialog.js";
import { automatic, field, form, launchButton, mounts, newFolders } from "./form.js";
import { leaveAside } from "./problems.js";

const box = field("alone");
const forget = () => {
  box.checked = false;
};

const isMounted = () => automatic().length || mounts().length || newFolders().length;
const note = make("p", { class: "bai-warning", role: "status" });
const tell = () => write(note, isMounted()
  ? ""
  : "No folder is mounted: every file of the session will be deleted when it ends.");

export const prepareAlone = () => {
  if (!box) return;
  byId("bai-alone-choice").hidden = true;
  byId("bai-alone-choice").after(note);
  form.addEventListener("input", tell);
  window.addEventListener("pageshow", tell);
  tell();
  leaveAside(box);
  forget();
  window.addEventListener("pageshow", forget);  // a browser may have put the tick back
};

/** Whether the launch waits for an answer; it goes on by itself when that is yes. */
export const confirmAlone = () => {
  if (!box || isMounted() || box.checked) return false;
  ask({
    title: "No data folder is mounted",
    text: "Every file of the session is deleted when it ends. To keep some, cancel, and mount a"
      + " folder on the page “Data folders”.",
    yes: "LAUNCH",
  }).then((yes) => {
    if (!yes) return;
    box.checked = true;
    form.requestSubmit(launchButton);
  });
  return true;
};
