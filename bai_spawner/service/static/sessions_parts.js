// The parts above the list, which the list does not need: each is a module of its own, asks the
// service for what it shows, and is told when something changed.

import { byId } from "./dom.js";

const PARTS = [
  ["bai-statistics", "./statistics_bars.js", "showStatistics"],
  ["bai-whole", "./whole.js", "showWhole"],
];
const EVERY_MS = 10_000;

/** Loads what this page has a place for; what cannot be loaded is left out. */
export const showParts = (service) => {
  const shown = [];
  let told = 0;
  const load = async ([id, module, name]) => {
    const place = byId(id);
    if (!place) return;
    try {
      const loaded = await import(module);
      shown.push(loaded[name](place, service));
    } catch {
      place.hidden = true;
    }
  };
  const refresh = () => {
    told = performance.now();
    for (const part of shown) Promise.resolve(part.refresh()).catch(() => {});
  };
  PARTS.forEach(load);
  return {
    refresh,
    /** Numbers were measured anew: they change a little all the time. */
    measured: () => {
      if (performance.now() - told > EVERY_MS) refresh();
    },
  };
};
