// What a session was granted and what it uses of it: a text, and a meter below it.

import { write } from "./dom.js";
import { number, numberOf, size, sizeOf } from "./sessions_words.js";

const NEAR = 0.9;
const SIMULATED = "simulated";

/** The memory of all GPUs that it was granted; 0 where none is set. */
const gpuMemory = ({ gpu }) => (gpu && gpu.memory ? gpu.memory * (gpu.devices || 1) : 0);

/** Text, more text, and how full: from 0 to 1, or null where there is nothing to compare. */
const told = {
  cpu: ({ allocated, used, peak, ended }) => {
    if (used) return [numberOf(used.cpu, allocated.cpu), "", used.cpu / allocated.cpu];
    return [String(allocated.cpu), ended && peak.memory ? `peak ${number(peak.cpu)}` : "", null];
  },
  memory: ({ allocated, used, peak, ended }) => {
    const { memory } = allocated;
    if (used) return [sizeOf(used.memory, memory), "", used.memory / memory];
    return [size(memory), ended && peak.memory ? `peak ${size(peak.memory)}` : "", null];
  },
  gpu: ({ allocated, used }) => {
    if (!allocated.fgpu) return ["–", "", null];
    const isThere = !allocated.gpu || allocated.gpu.isolation !== SIMULATED;
    const text = `${allocated.fgpu} fGPU${isThere ? "" : " (simulated)"}`;
    if (!used) return [text, "", null];
    const whole = gpuMemory(allocated);
    if (!whole) return [text, `${size(used.gpu_memory)} used`, null];
    return [text, sizeOf(used.gpu_memory, whole), used.gpu_memory / whole];
  },
};

export const hasGpu = ({ allocated }) => Boolean(allocated.fgpu);

/** Draws one into its cell. */
export const drawAmount = (cell, key, session) => {
  const [text, more, full] = told[key](session);
  const meter = cell.querySelector(".bai-meter");
  write(cell.querySelector(".bai-amount"), text);
  write(cell.querySelector(".bai-fine"), more);
  meter.hidden = full === null;
  meter.classList.toggle("bai-full", key !== "cpu" && full >= NEAR);
  const width = `${Math.round(Math.min(1, full || 0) * 100)}%`;
  if (meter.firstElementChild.style.width !== width) meter.firstElementChild.style.width = width;
};
