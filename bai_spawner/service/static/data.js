// The Data page: it lists the folders that a user may mount, and is asked again as long as sizes
// are being counted, now and then, and after each change. A superadmin looks at others', too.

import { makeChanges } from "./data_changes.js";
import { focusOn, prepareTable, show } from "./data_table.js";
import { countOf, isUncounted } from "./data_words.js";
import { byId, make, write } from "./dom.js";
import { makeNotice } from "./notice.js";
import { visit } from "./service.js";

const COUNTING_MS = 1500;
const RESTING_MS = 20_000;
const VISIT_MS = 5000;
const UNKNOWN = 404;
const LOGIN = 401;

const page = byId("bai-data");
const { base } = page.dataset;
const bar = byId("bai-away");
const create = byId("bai-create");
const looker = byId("bai-look");
const notice = makeNotice();
let listing = null;
let timer = null;

/** Whose folders the address asks for; empty: the visitor's own. */
const asked = () => new URLSearchParams(window.location.search).get("user") || "";

// ---- what is shown
const NOTHING = [
  "No folder yet.",
  "CREATE makes one. Mount it when you launch a session, and its files are there the next time.",
];
const NO_OWN = ["No folder.", "Your administrator offers none to you."];
const NO_OTHERS = ["No folder.", "There is none that this user may mount."];

const drawNothing = ({ folders, writable }, isOwn) => {
  byId("bai-nothing").hidden = folders.length > 0;
  const [first, then] = writable ? NOTHING : isOwn ? NO_OWN : NO_OTHERS;
  write(byId("bai-nothing-first"), first);
  write(byId("bai-nothing-then"), then);
};

const draw = (service) => {
  const isOwn = ["", service.user].includes(asked());
  write(byId("bai-title"), isOwn ? "Data" : `Data of ${asked()}`);
  create.hidden = !listing.writable;
  write(byId("bai-count"), listing.own ? countOf(listing) : "");
  show(listing.folders, { me: service.user, base });
  drawNothing(listing, isOwn);
};

const complain = ({ status, message }) => {
  const what = status === LOGIN ? "Not logged in" : "The folders cannot be shown now";
  write(byId("bai-away-text"), `${what}: ${message}.`);
  byId("bai-away-again").hidden = status === LOGIN;
  byId("bai-away-reload").hidden = status !== LOGIN;
  bar.hidden = false;
};

/** There is no such user: it is said at the field that asks for one. */
const refuseUser = (isWrong) => {
  const box = byId("bai-user");
  box.classList.toggle("is-invalid", isWrong);
  box.setAttribute("aria-invalid", String(isWrong));
  write(byId("bai-user-problem"), isWrong ? "There is no such user here." : "");
};

// ---- asking
/** One answer at a time; who asks meanwhile gets the one after it. */
const makeRefresh = (service) => {
  let running = null;
  let next = null;
  const ask = async () => {
    const user = asked();
    try {
      const fresh = await service.get(`api/folders${user && `?user=${encodeURIComponent(user)}`}`);
      if (user !== asked()) return;
      listing = fresh;
      bar.hidden = true;
      if (looker) refuseUser(false);
      draw(service);
    } catch (error) {
      if (user !== asked()) return;
      if (looker && error.status === UNKNOWN) refuseUser(true);
      else complain(error);
    }
  };
  const plan = () => {
    clearTimeout(timer);
    const isCounting = listing && listing.folders.some(isUncounted);
    timer = setTimeout(tick, isCounting ? COUNTING_MS : RESTING_MS);
  };
  const tick = () => (document.hidden ? plan() : refresh());
  const start = () => {
    running = ask().finally(() => {
      running = null;
      plan();
    });
    return running;
  };
  const follow = async () => {
    await running;
    next = null;
    return start();
  };
  const refresh = () => {
    if (!running) return start();
    next ??= follow();
    return next;
  };
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) refresh();
  });
  return refresh;
};

// ---- a superadmin looks at others'
const prepareLooking = (service, refresh) => {
  const box = byId("bai-user");
  box.value = asked();
  const look = (user) => {
    const query = user && user !== service.user ? `?user=${encodeURIComponent(user)}` : "";
    window.history.pushState(null, "", window.location.pathname + query);
    refresh();
  };
  looker.addEventListener("submit", (event) => {
    event.preventDefault();
    look(box.value.trim());
  });
  box.addEventListener("input", () => refuseUser(false));
  window.addEventListener("popstate", () => {
    box.value = asked();
    refresh();
  });
  const offer = async () => {
    const { choices } = await service.get("api/sessions");
    byId("bai-users").append(...choices.users.map((user) => make("option", { value: user })));
  };
  box.addEventListener("focus", () => offer().catch(() => {}), { once: true });
};

// ---- begin
let again = () => {};

/** Tries until it is known who visits: after some seconds, or when somebody asks for it. */
const visited = async () => {
  for (;;) {
    try {
      return await visit();
    } catch (error) {
      complain(error);
    }
    await new Promise((resolve) => {
      again = resolve;
      setTimeout(resolve, VISIT_MS);
    });
  }
};

const begin = async () => {
  const service = await visited();
  const refresh = makeRefresh(service);
  const changes = makeChanges({
    service, base, listing: () => listing, refresh, notice, focusOn,
  });
  create.addEventListener("click", changes.create);
  prepareTable((what, name) => changes[what](name));
  if (looker) prepareLooking(service, refresh);
  again = refresh;
  await refresh();
};

byId("bai-notice").append(notice.element);
byId("bai-away-again").addEventListener("click", () => again());
byId("bai-away-reload").addEventListener("click", () => window.location.reload());
begin();
