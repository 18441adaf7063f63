// The rows of the home page: each follows its session, and can stop it.
//
// The hub is asked for the user's servers, often while one starts or stops. It needs nothing but
// the hub; what the sessions service adds (launching again) is fetched last, and may be away.
// What a user wrote becomes text, never markup.

const SOON = 1000;
const LATER = 5000;
const TIMEOUT = 10_000;

const byId = (id) => document.getElementById(id);
const home = byId("bai-home");
const table = byId("bai-sessions");
const body = table.tBodies[0];
const dialog = byId("bai-stop");
const trouble = byId("bai-trouble");
const api = (path) => `${window.jhdata.base_url}api/users/${encodeURIComponent(home.dataset.user)}${path}`;
const rows = () => [...body.rows];

const call = async (method, path) => {
  const answer = await fetch(api(path), {
    method,
    headers: { "X-XSRFToken": window.jhdata.xsrf_token },
    credentials: "same-origin",
    signal: AbortSignal.timeout(TIMEOUT),
  });
  if (answer.ok) return answer;
  const told = await answer.json().catch(() => ({}));
  throw Object.assign(new Error(told.message || answer.statusText), { status: answer.status });
};

// ---- what a row shows
const units = [["day", 86_400], ["hour", 3600], ["minute", 60]];
const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
const ago = (moment) => {
  const seconds = (Date.now() - Date.parse(moment)) / 1000;
  const [unit, size] = units.find(([, length]) => seconds >= length) || [];
  return unit ? relative.format(-Math.floor(seconds / size), unit) : "just now";
};
const drawTimes = () => {
  for (const time of body.querySelectorAll("time[datetime]")) {
    time.textContent = ago(time.dateTime);
    time.title = new Date(time.dateTime).toLocaleString();
  }
};
const tell = (text) => {
  byId("bai-changes").textContent = text;
};
const words = {
  running: "is running", stopping: "is stopping", stopped: "has stopped", failed: "did not start",
};
const become = (row, state) => {
  if (row.dataset.state === state) return;
  row.dataset.state = state;
  if (state in words) tell(`${row.dataset.title} ${words[state]}.`);
};
const write = (element, text) => {
  if (element.textContent !== text) element.textContent = text;
};
const stateOf = (server) => {
  if (server.pending === "stop") return "stopping";
  return server.ready ? "running" : "starting";
};
const makeRow = (server) => {
  const row = byId("bai-row").content.firstElementChild.cloneNode(true);
  row.dataset.serverName = server.name;
  const pending = `${window.jhdata.base_url}spawn-pending/${encodeURIComponent(home.dataset.user)}`;
  for (const link of row.querySelectorAll(".bai-progress, .bai-why")) {
    link.href = server.name ? `${pending}/${server.name}` : pending;
  }
  body.append(row);
  return row;
};
const draw = (row, server) => {
  const title = server.display_name || server.name || "Default server";
  const asked = server.user_options || {};
  const [environment = "", , ...resources] = (asked.profile || "").split(" · ");
  row.dataset.title = title;
  row.dataset.folders = JSON.stringify(asked.mounts || []);
  write(row.querySelector(".bai-title"), title);
  write(row.querySelector(".bai-environment"), environment);
  write(row.querySelector(".bai-resources"), resources.join(" · "));
  row.querySelector(".bai-started").dateTime = server.started || "";
  const labels = { open: "Open", stop: "Stop", progress: "Progress of" };
  for (const [part, label] of Object.entries(labels)) {
    row.querySelector(`.bai-${part}`).setAttribute("aria-label", `${label} ${title}`);
  }
  row.querySelector(".bai-why").setAttribute("aria-label", `Why ${title} did not start`);
  row.querySelector(".bai-open").href = server.url;
  // the hub has not heard yet that it is to stop
  const asksToStop = row.dataset.state === "stopping" && "baiAsked" in row.dataset;
  if (!asksToStop) become(row, stateOf(server));
};
const drawGone = (row) => {
  const { state } = row.dataset;
  const live = ["starting", "running", "stopping"].includes(state);
  if (live) become(row, state === "starting" ? "failed" : "stopped");
};
const drawAll = (servers) => {
  const known = new Map(rows().map((row) => [row.dataset.serverName, row]));
  const live = Object.values(servers).filter((server) => !server.stopped);
  for (const server of live) draw(known.get(server.name) || makeRow(server), server);
  for (const [name, row] of known) {
    if (!live.some((server) => server.name === name)) drawGone(row);
  }
  table.hidden = !rows().length;
  byId("bai-nothing").hidden = rows().length > 0;
  drawTimes();
};

// ---- following
let timer;
let failures = 0;
const busy = () => rows().some((row) => ["starting", "stopping"].includes(row.dataset.state));
const later = () => {
  clearTimeout(timer);
  if (!document.hidden) timer = setTimeout(follow, busy() ? SOON : LATER * (1 + Math.min(failures, 5)));
};
const follow = async () => {
  clearTimeout(timer);
  try {
    drawAll((await (await call("GET", "")).json()).servers);
    if (failures > 1) trouble.hidden = true;
    failures = 0;
  } catch (error) {
    failures += 1;
    if (failures > 1) {
      trouble.hidden = false;
      write(trouble, error.status === 403
        ? "You are logged out, or this page is too old: load it again."
        : "The hub does not answer: what is shown here may be old.");
    }
  }
  later();
};

// ---- stopping: it asks first, and names what is kept
let stopping = null;
const kept = (row) => {
  const automatic = byId("bai-again").dataset.automatic.split(" ").filter(Boolean);
  const mounted = JSON.parse(row.dataset.folders).map(({ folder, mode }) =>
    (mode === "ro" ? `${folder} (read only)` : folder));
  const names = [...new Set([...mounted, ...automatic])];
  return names.length
    ? `Kept: what is in the mounted folder${names.length > 1 ? "s" : ""} ${names.join(", ")}.`
    : "No folder is mounted: none of its files is kept.";
};
const askToStop = (row) => {
  stopping = row;
  byId("bai-stop-title").textContent = `Stop ${row.dataset.title}?`;
  byId("bai-stop-kept").textContent = kept(row);
  dialog.showModal();
  byId("bai-stop-no").focus();
};
const stop = async (row) => {
  const { serverName, title, state } = row.dataset;
  row.dataset.baiAsked = "";
  become(row, "stopping");
  trouble.hidden = true;
  try {
    await call("DELETE", serverName ? `/servers/${encodeURIComponent(serverName)}` : "/server");
  } catch (error) {
    if (error.status !== 404) {  // 404: it ended by itself
      row.dataset.state = state;
      trouble.hidden = false;
      trouble.textContent = `${title} was not stopped: ${error.message || "the hub does not answer"}. Try again.`;
    }
  }
  delete row.dataset.baiAsked;
  follow();
};
body.addEventListener("click", ({ target }) => {
  const button = target.closest(".bai-stop");
  if (button) askToStop(button.closest("tr"));
});
byId("bai-stop-no").addEventListener("click", () => dialog.close());
byId("bai-stop-yes").addEventListener("click", () => {
  dialog.close();
  stop(stopping);
});

// ---- launching again
const away = byId("bai-again-away");
const offer = async () => {
  away.hidden = true;
  try {
    const { offerLaunches } = await import(`${home.dataset.static}home.js`);
    await offerLaunches();
    byId("bai-again").hidden = false;
  } catch {
    away.hidden = false;
  }
};
// a browser does not fetch a module again that it could not have once
byId("bai-again-retry").addEventListener("click", () => window.location.reload());

// ---- begin; a page that comes back from history is made anew: its START was used
window.addEventListener("pageshow", ({ persisted }) => {
  const [arrival] = performance.getEntriesByType("navigation");
  if (persisted || (arrival && arrival.type === "back_forward")) window.location.reload();
});
document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(timer) : follow()));
drawTimes();
later();
offer();
