// What all sessions take together, and whether the user may hold that (R5): told before it is
// sent, since all of them start or none does.

import { byId, make, says, write } from "./dom.js";
import { checked, chosen, count, field, isCustom, rules } from "./form.js";
import { place, toFgpu, toQuanta } from "./gpus.js";
import { bounds, isStale, live, onLive } from "./live.js";
import { advise } from "./problems.js";

const GIB = 1024 ** 3;
const KEYS = ["cpu", "memory", "fgpu"];
const UNITS = { cpu: "CPU", memory: "GiB RAM", fgpu: "fGPU" };
const LABELS = { cpu: "CPU", memory: "RAM", fgpu: "fGPU" };
const line = make("div", { class: "bai-total", id: "bai-total" });

const plain = (number) => String(Math.round(number * 100) / 100);
const inUnit = (key, value) => plain(key === "memory" ? value / GIB : value);
const say = (key, value) => (key === "memory" ? `${inUnit(key, value)} GiB` : plain(value));

/** What one session takes: cores, bytes, fGPU. */
export const each = () => {
  const preset = rules.presets[chosen("preset")];
  if (preset && !isCustom()) {
    return { cpu: preset.cpu, memory: preset.memory, fgpu: Number(preset.fgpu) };
  }
  const found = bounds();
  const box = (key) => Number(field(key).value || (found[key] || { low: 0 }).low) || 0;
  return { cpu: box("cpu"), memory: Math.floor(box("memory") * GIB), fgpu: box("fgpu") };
};

/** Why so many cannot be held: the policy's words for the first resource that is too much. */
const overLimits = (one, many) => {
  const { held, limits } = live();
  for (const key of KEYS) {
    const most = limits[key] === null ? Infinity : Number(limits[key]);
    const used = Number(held[key]);
    // decimals are not exact here: a GPU is counted in quanta
    const over = key === "fgpu"
      ? toQuanta(used) + many * toQuanta(one[key]) > Math.floor(most / rules.gpu.quantum + 1e-9)
      : used + many * one[key] > most;
    if (one[key] && over) {
      return `${LABELS[key]}: ${many} × ${say(key, one[key])} > ${say(key, Math.max(most - used, 0))}`
        + ` left of the ${say(key, most)} that you may hold`;
    }
  }
  return "";
};
const fewer = (a, b) => a.cpu - b.cpu || a.memory - b.memory || (a.node < b.node ? -1 : 1);
/** What is left of the devices when a request took its part of those that it gets. */
const without = (devices, asked) => {
  const taken = place(devices, asked);
  return devices.map((one) => (taken.includes(one)
    ? { ...one, free: toFgpu(toQuanta(one.free) - asked / taken.length) }
    : one));
};
/** How many of so many such sessions the chosen group has room for: one by one, as the hub does. */
const roomFor = (one, many) => {
  const group = live().groups[chosen("resource_group")];
  let nodes = group ? group.nodes : [];
  const asked = toQuanta(one.fgpu);
  for (let started = 0; started < many; started += 1) {
    const [fullest] = nodes
      .filter(({ cpu, memory, devices }) => cpu >= one.cpu && memory >= one.memory
        && (!asked || place(devices, asked).length > 0))
      .toSorted(fewer);
    if (!fullest) return started;
    nodes = nodes.map((node) => (node === fullest ? {
      ...node,
      cpu: node.cpu - one.cpu,
      memory: node.memory - one.memory,
      devices: asked ? without(node.devices, asked) : node.devices,
    } : node));
  }
  return many;
};

const judge = () => {
  const box = field("sessions");
  const many = count();
  if (many < 2 || !box.validity.valid || !checked("environment")) return [];
  const one = each();
  const told = { field: box, label: says(box.labels[0]) };
  const over = overLimits(one, many);
  if (over) return [{ ...told, reason: over, lasting: !isStale() }];
  const room = roomFor(one, many);
  if (room >= many) return [];
  const reason = `room for ${room} of this size now, not for ${many}`;
  return [{ ...told, reason, lasting: false }];
};

const draw = () => {
  const many = count();
  const one = each();
  const { held, limits } = live();
  const parts = KEYS.filter((key) => one[key]).map((key) => {
    const left = Math.max(Number(limits[key]) - Number(held[key]), 0);
    const most = limits[key] === null ? "" : ` of ${inUnit(key, left)}`;
    const product = many > 1 ? `${many} × ${inUnit(key, one[key])} = ` : "";
    return `${product}${inUnit(key, many * one[key])}${most} ${UNITS[key]}`;
  });
  const left = KEYS.some((key) => limits[key] !== null) ? " that are left to you" : "";
  write(line, `Together ${parts.join(", ")}${left}.`);
  line.hidden = !parts.length;
};

export const prepareTotals = () => {
  byId("bai-sessions:help").after(line);
  advise(judge);
  field("sessions").form.addEventListener("input", draw);
  onLive(draw);
  window.addEventListener("pageshow", draw);
  draw();
};
