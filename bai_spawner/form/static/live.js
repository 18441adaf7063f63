// What is free and what the user holds: as the server put it into the page, and fresher once it
// was asked again (availability.js). The shape is that of `bai_spawner.form.live.live`.

import { embedded } from "./dom.js";
import { checked, chosen } from "./form.js";

const STALE = 40;
const listeners = [];
let data = embedded("bai-live");
let at = performance.now() - data.age * 1000;

export const live = () => data;

/** Seconds since the hub told what is known now. */
export const age = () => (performance.now() - at) / 1000;
/** Whether the numbers may be old: then they advise, and block nothing that they alone forbid. */
export const isStale = () => age() > STALE;

export const onLive = (listen) => listeners.push(listen);
/** Takes what the service told; throws when it is nothing of the kind. */
export const receive = (fresh) => {
  if (!Object.keys(data).every((key) => key in fresh)) throw new TypeError("no availability");
  data = fresh;
  at = performance.now() - fresh.age * 1000;
  listeners.forEach((listen) => listen());
};

/** The bounds of each resource for the environment and group that are chosen, if both are. */
export const bounds = () => {
  const environment = checked("environment");
  const shape = environment && data.bounds.shapes[data.bounds.environments[environment.value]];
  return (shape && shape[chosen("resource_group")]) || {};
};
