// The launch form as a wizard. Without this script it is one plain form that launches; this
// hides and shows its parts, and tells what the page knows to be wrong before it is sent. What
// is sent is the same form, and the server judges it.

import { prepareAbouts } from "./about.js";
import { leadOn } from "./after.js";
import { confirmAlone, prepareAlone } from "./alone.js";
import { keepFresh } from "./availability.js";
import { prepareFolders, setNewFolders } from "./folders.js";
import { field, form, variables } from "./form.js";
import { listenToKeys } from "./keys.js";
import { live } from "./live.js";
import { prepareName } from "./name.js";
import { begin, forward, nextButton, refresh, sending, stopped, unblock } from "./pages.js";
import { byServer, judge, mark, markSoon, moveMarks, settle } from "./problems.js";
import { prepareResources } from "./resources.js";
import { prepareSearch } from "./search.js";
import { visit } from "./service.js";
import { prepareSliders } from "./sliders.js";
import { startFrom } from "./templates.js";
import { prepareTotals } from "./totals.js";
import { prepareVariables } from "./variables.js";

judge(() => {
  const odd = variables().find((variable) => variable.value === null);
  field("env").setCustomValidity(odd ? `line ${odd.line} has no '='; write NAME=value` : "");
});

prepareSearch();
prepareName();
prepareVariables();
prepareFolders();
prepareAlone();
prepareSliders(["cpu", "memory", "shm", "fgpu", "sessions"]);
prepareAbouts();
prepareResources();
prepareTotals();

form.addEventListener("submit", (event) => {
  const turned = event.submitter === nextButton && forward();
  if (turned || stopped(mark) || confirmAlone()) {
    event.preventDefault();
  } else {
    leadOn();
    sending(true);
  }
});
form.addEventListener("input", ({ target }) => {
  settle(target);
  unblock();
  refresh();
  markSoon(target);
});
listenToKeys();
moveMarks();
form.dataset.baiReady = "";  // what is not shown yet could not have the focus
begin(byServer());
keepFresh();
startFrom(form, { service: visit(), folders: setNewFolders, names: () => live().names });
