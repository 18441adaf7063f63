// Asks again what is free, every ten seconds while the page is looked at. A service that fails is
// asked less and less often; the page then says how old its numbers are, and works on.

import { byId, make, write } from "./dom.js";
import { form } from "./form.js";
import { age, receive } from "./live.js";
import { visit } from "./service.js";

const EVERY = 10_000;
const SLOWEST = 120_000;
const line = make("p", { class: "bai-fine", id: "bai-age", "aria-live": "off" });
const owner = form.dataset.baiOwner;
let service = null;
let pause = EVERY;
let timer = 0;
let asking = false;
let failing = false;

const ago = (seconds) => {
  if (seconds < 120) return `${Math.floor(seconds)} s`;
  return `${Math.floor(seconds / 60)} min`;
};
const tell = () => {
  const since = ago(age());
  write(line, failing
    ? `Could not be refreshed for ${since}: the numbers may be old.`
    : `Updated ${since} ago.`);
};
const ask = async () => {
  clearTimeout(timer);
  if (document.hidden || asking) return;
  asking = true;
  try {
    service = service || await visit();
    receive(await service.get(`api/availability?user=${encodeURIComponent(owner)}`));
    failing = false;
    pause = EVERY;
  } catch {
    failing = true;
    pause = Math.min(pause * 2, SLOWEST);
  }
  asking = false;
  tell();
  timer = setTimeout(ask, pause);
};

export const keepFresh = () => {
  byId("bai-held").closest("p").after(line);
  tell();
  setInterval(() => {
    if (!document.hidden) tell();
  }, 1000);
  timer = setTimeout(ask, EVERY);
  const back = () => {
    if (!document.hidden && age() * 1000 > EVERY) ask();
  };
  document.addEventListener("visibilitychange", back);
  window.addEventListener("pageshow", back);
};
