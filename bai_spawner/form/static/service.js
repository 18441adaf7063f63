// Calls to the service: who visits, and requests with the token that goes with the visit.
//
// The service lies two folders above this module (static/<digest>/), whatever the hub's base
// is. The first call is made in the mode "no-cors": it is of the same origin, so its answer can
// be read, its redirects lead through the hub's login, and it needs no token yet.
const BASE = new URL("../../", import.meta.url);
const TIMEOUT_MS = 10_000;
const TRIES = 4;
const PAUSE_MS = 500;
const REFUSED = [401, 403];
const AGAIN = [0, ...REFUSED];

export class ServiceError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

const asked = async (path, options, signal) => {
  try {
    return await fetch(new URL(path, BASE), { credentials: "same-origin", ...options, signal });
  } catch (error) {
    const late = error.name === "TimeoutError";
    throw new ServiceError(0, late ? "it takes too long to answer" : "it does not answer");
  }
};

const textOf = async (answer) => {
  try {
    return await answer.text();
  } catch {
    throw new ServiceError(0, "its answer broke off");
  }
};

/** What an answer says; a refusal is thrown, in the service's words. */
const read = async (answer) => {
  const text = await textOf(answer);
  let body = null;
  try {
    body = text ? JSON.parse(text) : null;
  } catch {
    // a page: the hub's login, where a redirect led there
    const isLogin = answer.ok && answer.redirected;
    if (isLogin) throw new ServiceError(401, "you are logged out: log in again");
    throw new ServiceError(answer.ok ? 0 : answer.status, "its answer cannot be read");
  }
  if (!answer.ok) {
    throw new ServiceError(answer.status, (body && body.message) || answer.statusText);
  }
  return body;
};

const answered = async (path, options, timeout = TIMEOUT_MS) =>
  read(await asked(path, options, AbortSignal.timeout(timeout)));

// Two logins at a time, as of two tabs, undo each other (the hub knows them by one cookie):
// they are told 403, and try again, each after a time of its own.
const begin = async (tries = TRIES) => {
  try {
    return await answered("api/visit", { mode: "no-cors" });
  } catch (error) {
    if (error.status !== 403 || tries === 1) throw error;
  }
  await new Promise((resolve) => { setTimeout(resolve, Math.random() * PAUSE_MS); });
  return begin(tries - 1);
};

/** An answer that may go on for as long as it likes, once it has begun in time. */
const begun = async (path, options, signal) => {
  const ended = new AbortController();
  const end = () => ended.abort();
  signal.addEventListener("abort", end);
  if (signal.aborted) end();
  const late = () => ended.abort(new DOMException("late", "TimeoutError"));
  const timer = setTimeout(late, TIMEOUT_MS);
  let answer;
  try {
    answer = await asked(path, options, ended.signal);
  } finally {
    clearTimeout(timer);
  }
  return answer.ok ? answer : read(answer);
};

/**
 * The visitor, and get, put, patch, post and remove below the service's address.
 *
 * `remove` may be given the milliseconds that it may take. `open` resolves to an answer whose
 * body is still to be read, a file or a stream; what aborts its signal ends it.
 */
export const visit = async () => {
  let visitor = await begin();
  let renewing = null;
  // the service or the login may be new; whoever finds that out, one asks for all
  const renew = async () => {
    renewing ??= begin().finally(() => { renewing = null; });
    const now = await renewing;
    if (now.user !== visitor.user) {
      // what was asked is not the other's to ask
      throw new ServiceError(401, `you are logged in as ${now.user} now: reload the page`);
    }
    visitor = now;
  };
  const insist = async (call, again) => {
    try {
      return await call();
    } catch (error) {
      if (!again.includes(error.status)) throw error;
    }
    await renew();
    return call();
  };
  // a login that is over leads to the hub's, which a fetch must not follow
  const options = (method, more = {}) =>
    ({ method, headers: { "X-XSRFToken": visitor.xsrf_token, ...more }, redirect: "error" });
  const send = (method, path, body, timeout) => {
    const json = body === undefined ? {} : { "Content-Type": "application/json" };
    const sent = body === undefined ? undefined : JSON.stringify(body);
    const call = () => answered(path, { ...options(method, json), body: sent }, timeout);
    // what may have been done already is not asked for twice
    return insist(call, method === "POST" ? REFUSED : AGAIN);
  };
  return {
    user: visitor.user,
    admin: visitor.admin,
    get: (path) => send("GET", path),
    put: (path, body) => send("PUT", path, body),
    patch: (path, body) => send("PATCH", path, body),
    post: (path, body) => send("POST", path, body),
    remove: (path, timeout) => send("DELETE", path, undefined, timeout),
    open: (path, signal) => insist(() => begun(path, options("GET"), signal), REFUSED),
  };
};
