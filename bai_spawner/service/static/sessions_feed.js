// Follows what changes, by a stream of events; where there is none, by asking every few seconds.
// Either is taken up again by itself after whatever broke it off, and neither goes on while
// nobody looks: a browser has few connections to a hub, and a visitor few streams.

import { readEvents } from "./sessions_events.js";

const SILENCE_MS = 45_000;  // the service says something every 15 s
const ASK_MS = 5000;
const LONGEST_MS = 30_000;

/** A pause that can be cut short. */
const makePause = () => {
  let wake = () => {};
  return {
    wake: () => wake(),
    for: (ms) => new Promise((resolve) => {
      const timer = ms === undefined ? 0 : setTimeout(resolve, ms);
      wake = () => {
        clearTimeout(timer);
        resolve();
      };
    }),
  };
};

/**
 * Follows for as long as there is a page.
 *
 * `state(told)` gets each event, and says whether the list is older than that. `refresh()` asks for
 * the whole list, and resolves to whether it was told: it is called at once, when the list is old,
 * again while it was not told, when a stream breaks off, and between streams. What is returned:
 * `again()` tries at once.
 */
export const follow = (service, { state, refresh }) => {
  const pause = makePause();
  const asking = makePause();
  let connection = null;
  let isFollowing = false;
  let isTold = false;
  let failed = 0;

  const ask = async () => {
    isTold = await refresh();
  };
  const once = async () => {
    const ended = new AbortController();
    connection = ended;
    let timer = 0;
    const heard = () => {
      clearTimeout(timer);
      timer = setTimeout(() => ended.abort(), SILENCE_MS);
    };
    const told = (event, data) => {
      if (event === "state" && state(data)) ask();
    };
    try {
      const answer = await service.open("api/events", ended.signal);
      isFollowing = true;
      failed = 0;
      heard();
      asking.wake();
      await readEvents(answer.body, { heard, told });
    } finally {
      isFollowing = false;
      clearTimeout(timer);
      ended.abort();
    }
  };
  const keepFollowing = async () => {
    for (;;) {
      while (document.hidden) await pause.for();
      try {
        await once();
      } catch {
        // asking finds out what is the matter
      }
      if (document.hidden) continue;
      asking.wake();
      await pause.for(Math.min(LONGEST_MS, ASK_MS * failed + 1000));
      failed += 1;
    }
  };
  const keepAsking = async () => {
    for (;;) {
      if (!document.hidden && !(isFollowing && isTold)) await ask();
      await asking.for(ASK_MS);
    }
  };
  const again = () => {
    failed = 0;
    pause.wake();
    asking.wake();
  };
  const letGo = () => connection?.abort();

  document.addEventListener("visibilitychange", () => (document.hidden ? letGo() : again()));
  window.addEventListener("online", again);
  window.addEventListener("offline", letGo);
  keepFollowing();
  keepAsking();
  return { again };
};
