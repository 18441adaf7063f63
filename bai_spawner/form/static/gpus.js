// Which GPUs a request gets, by the rule of `bai_spawner.gpu.placement`, and the words for what
// keeps its share. Amounts are quanta here; the server decides when the form is sent.

import { make } from "./dom.js";
import { rules } from "./form.js";

const { quantum, per_gpu: perGpu, most_devices: mostDevices, means, mark } = rules.gpu;
const FAR = 1000;

export const toQuanta = (fgpu) => Math.round(Number(fgpu) / Number(quantum));
export const toFgpu = (quanta) => String(Number((quanta * Number(quantum)).toFixed(9)));

// ---- which devices
/** How many devices a request needs, and the share of each; none when no host has so many. */
export const cut = (asked) => {
  for (let n = Math.ceil(asked / perGpu); n <= Math.min(asked, mostDevices); n += 1) {
    if (n && asked % n === 0) return [n, asked / n];
  }
  return [0, 0];
};
const sizeFits = ({ size }, part) => size === null || toQuanta(size) === part;
const freeOf = ({ free }) => toQuanta(free);
const fuller = (a, b) => freeOf(a) - freeOf(b) || (a.device < b.device ? -1 : 1);
/** Lists of as many devices, compared by their first that differ. */
const fullerAll = (a, b) => a.reduce((found, one, at) => found || fuller(one, b[at]), 0);
/** Sorted where `count` of one kind must go together, all in one list where one is enough. */
const ways = (devices, count) => {
  if (count === 1) return devices.map((device) => [device]);
  const kinds = new Map();
  for (const device of devices.filter(({ together }) => together >= count)) {
    kinds.set(device.kind, [...(kinds.get(device.kind) || []), device]);
  }
  return [...kinds.values()]
    .filter((alike) => alike.length >= count)
    .map((alike) => alike.toSorted(fuller).slice(0, count));
};
/** The devices that a request gets: the fullest that will do, or none. */
export const place = (devices, asked) => {
  const [count, part] = cut(asked);
  const fitting = devices.filter((one) => count && freeOf(one) >= part && sizeFits(one, part));
  const found = ways(fitting, count);
  return found.length ? found.reduce((best, way) => (fullerAll(way, best) < 0 ? way : best)) : [];
};
const places = (nodes, asked) => nodes.some(({ devices }) => place(devices, asked).length > 0);

/** Why an amount cannot be given exactly by a group now; empty where it can. */
export const cannotGive = (group, asked) => {
  if (places(group.nodes, asked)) return "";
  if (group.fgpu_text) return `can be given now: ${group.fgpu_text}`;
  const near = [-1, 1].map((step) => {
    let at = asked + step;
    while (at > 0 && Math.abs(at - asked) < FAR && !places(group.nodes, at)) at += step;
    return at > 0 && Math.abs(at - asked) < FAR ? toFgpu(at) : "";
  });
  return `cannot be given exactly now; nearest: ${near.filter(Boolean).join(" or ") || "none"}`;
};

// ---- what keeps a share
/** What they could be given of some devices ever, full as they may be now. */
export const ableTo = (nodes, asked) => nodes.flatMap(({ devices }) => {
  const [count, part] = cut(asked);
  const able = devices.filter(
    (one) => count && !one.note && sizeFits(one, part) && toQuanta(one.total) >= part,
  );
  return count === 1 ? able : able.filter((one) => one.together >= count
    && able.filter(({ kind }) => kind === one.kind).length >= count);
});

export const isSimulated = ({ title }) => title.startsWith(mark);
export const nameOf = ({ title, device }) =>
  (title.startsWith(mark) ? title.slice(mark.length).trim() : title) || device;

/** What is in force, in one line. */
export const inForce = ({ isolation, enforcement, verified }) => {
  const parts = Object.entries(enforcement).map(([name, level]) => `${name}: ${level}`);
  return `${isolation || "no isolation"} (${parts.join(", ")}); verified on hardware: ${verified}`;
};
/** Devices by what is said of them, in their order. */
export const byTerms = (devices) => {
  const found = new Map();
  for (const device of devices) {
    const said = device.note || inForce(device);
    const key = JSON.stringify([isSimulated(device), said]);
    found.set(key, [...(found.get(key) || []), device]);
  }
  return [...found.values()];
};
/** Each word of what is in force, and what it means. */
export const meaning = ({ enforcement }) =>
  make("dl", {}, ...Object.entries(enforcement).flatMap(([name, level]) => [
    make("dt", {}, `${name}: ${level}`),
    make("dd", {}, (means[name] || {})[level] || ""),
  ]));
export const badge = () => make("span", { class: "bai-simulated" }, mark);
