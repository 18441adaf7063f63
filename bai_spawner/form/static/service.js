// Calls to the service: who visits, and requests with the token that goes with the visit.
//
// The service lies two folders above this module (static/<digest>/), whatever the hub's base
// is. The first call is made in the mode "no-cors": it is of the same origin, so its answer can
// be read, its redirects lead through the hub's login, and it needs no token yet.
const BASE = new URL("../../", import.meta.url);
const TIMEOUT_MS = 10_000;
const TRIES = 4;
const PAUSE_MS = 500;

export class ServiceError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

const answered = async (path, options) => {
  const signal = AbortSignal.timeout(TIMEOUT_MS);
  let answer;
  try {
    answer = await fetch(new URL(path, BASE), { credentials: "same-origin", ...options, signal });
  } catch (error) {
    const late = error.name === "TimeoutError";
    throw new ServiceError(0, late ? "it takes too long to answer" : "it does not answer");
  }
  const text = await answer.text();
  let body = null;
  try {
    body = text ? JSON.parse(text) : null;
  } catch {
    throw new ServiceError(answer.ok ? 0 : answer.status, "its answer cannot be read");
  }
  if (!answer.ok) {
    throw new ServiceError(answer.status, (body && body.message) || answer.statusText);
  }
  return body;
};

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

// the visitor, and get, put, patch and remove below the service's address
export const visit = async () => {
  let visitor = await begin();
  const send = async (method, path, body) => {
    const call = () => {
      const headers = { "X-XSRFToken": visitor.xsrf_token };
      if (body !== undefined) headers["Content-Type"] = "application/json";
      const sent = body === undefined ? undefined : JSON.stringify(body);
      // a login that is over leads to the hub's, which a fetch must not follow
      return answered(path, { method, headers, body: sent, redirect: "error" });
    };
    try {
      return await call();
    } catch (error) {
      if (![0, 401, 403].includes(error.status)) throw error;
    }
    const now = await begin(); // the service or the login may be new
    if (now.user !== visitor.user) {
      // what was asked is not the other's to ask
      throw new ServiceError(401, `you are logged in as ${now.user} now: reload the page`);
    }
    visitor = now;
    return call();
  };
  return {
    user: visitor.user,
    admin: visitor.admin,
    get: (path) => send("GET", path),
    put: (path, body) => send("PUT", path, body),
    patch: (path, body) => send("PATCH", path, body),
    remove: (path) => send("DELETE", path),
  };
};
