// What the list says, in words: amounts, times, and what becomes of a session. Pure.

const UNITS = [["GiB", 2 ** 30], ["MiB", 2 ** 20], ["KiB", 2 ** 10]];
const SPANS = [["d", 86_400], ["h", 3600], ["min", 60], ["s", 1]];
const DAY_MS = 86_400_000;

// ---- amounts
/** With one decimal at most: what is measured is no more exact. */
export const number = (value) => String(Math.round(value * 10) / 10);

/** Bytes as `bai_spawner.units.format_size` says them. */
export const size = (bytes) => {
  const [unit, one] = UNITS.find(([, least]) => bytes >= least) || ["B", 1];
  return `${Math.floor((bytes * 100) / one) / 100} ${unit}`;
};

/** Bytes of as many: "0.4 of 2 GiB", or "412 MiB of 2 GiB". */
export const sizeOf = (bytes, whole) => {
  const [part, unit] = size(bytes).split(" ");
  const all = size(whole);
  return all.endsWith(` ${unit}`) ? `${part} of ${all}` : `${part} ${unit} of ${all}`;
};

export const numberOf = (value, whole) => `${number(value)} of ${whole}`;

/** Digits in groups of three. */
export const grouped = (count) => count.toLocaleString("en");

export const counted = (count, one, many = `${one}s`) =>
  `${grouped(count)} ${count === 1 ? one : many}`;

/** Names in a row, the first `most` of them. */
export const several = (names, most) => {
  const more = names.length - most;
  return more > 0 ? `${names.slice(0, most).join(", ")} and ${more} more` : names.join(", ");
};

// ---- times
/** Seconds in the two largest units, rounded down; from a minute on without seconds. */
export const duration = (seconds) => {
  const whole = Math.max(0, Math.floor(seconds));
  const first = SPANS.findIndex(([, span]) => whole >= span);
  if (first < 0) return "0 s";
  const [unit, span] = SPANS[first];
  const [smaller, part] = SPANS[first + 1] || SPANS[first];
  const rest = Math.floor((whole % span) / part);
  const more = rest && first < 2 ? ` ${rest} ${smaller}` : "";
  return `${Math.floor(whole / span)} ${unit}${more}`;
};

export const clock = (date) =>
  date.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });

/** A moment as it is told: the time of today, with the day before that. */
export const moment = (iso, now) => {
  const at = new Date(iso);
  const isToday = at.toDateString() === new Date(now).toDateString();
  if (isToday) return clock(at);
  const isRecent = Math.abs(now - at) < 300 * DAY_MS;
  const year = isRecent ? {} : { year: "numeric" };
  const day = at.toLocaleDateString("en-GB", { day: "numeric", month: "short", ...year });
  return `${day} ${clock(at)}`;
};

export const inFull = (iso) => new Date(iso).toLocaleString();

export const until = (iso, now) => (Date.parse(iso) - now) / 1000;

// ---- sessions
export const STATUSES = {
  pending: ["Pending", "info"],
  preparing: ["Preparing", "info"],
  running: ["Running", "success"],
  terminating: ["Terminating", "secondary"],
  terminated: ["Terminated", "secondary"],
  cancelled: ["Cancelled", "secondary"],
  error: ["Error", "danger"],
};
export const TABS = { running: "RUNNING", finished: "FINISHED", others: "OTHERS" };

export const isStarting = ({ status }) => status === "pending" || status === "preparing";

/** How many processes memory killed; empty when none. */
export const kills = (count) => {
  if (!count) return "";
  const who = count === 1 ? "a process was" : `${grouped(count)} processes were`;
  return `${who} killed for memory`;
};

/** The folders that are mounted, as sentences name them. */
export const folderNames = (folders) =>
  folders.map(({ name, mode }) => (mode === "ro" ? `${name} (read only)` : name));

export const kept = (folders) => {
  if (!folders.length) return "No folder is mounted: none of its files is kept.";
  const what = folders.length > 1 ? "mounted folders" : "mounted folder";
  return `Kept: what is in the ${what} ${folderNames(folders).join(", ")}.`;
};

/** When a session is to end; empty while nothing is due. */
export const timeLeft = (time, now) => {
  if (!time || !time.ends) return "";
  const left = until(time.ends, now);
  const soon = left > 0 ? `ends in ${duration(left)}` : "ends now";
  if (time.why === "idle") {
    return time.warned ? `${soon} · nothing runs in it` : `${soon} unless it is used`;
  }
  return time.warned ? `${soon} · its time is over then` : soon;
};

/** What a person can do about the end that is due: its name for the service, and the button's. */
export const prolonging = (time) => {
  if (!time || !time.ends) return null;
  if (time.why === "idle") return { what: "idle", label: "Keep it running" };
  return lengthening(time);
};

/** A longer lifetime, where the policy allows it still. */
export const lengthening = (time) => {
  const { extend, left } = (time && time.lifetime) || {};
  return extend && left > 0 ? { what: "lifetime", label: `Extend by ${duration(extend)}` } : null;
};

/** What the link to launch it with more memory is called: the link says how much. */
export const withMore = ({ more_memory: link }) => {
  const fields = new URLSearchParams(link.slice(link.indexOf("#") + 1));
  return `Relaunch with ${size(Number(fields.get("memory")) * 2 ** 30)}`;
};
