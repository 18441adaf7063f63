// The resources page as the chosen environment and group make it: bounds, presets, what is free.
// It follows what is live, and never changes what was chosen or typed.

import { byId, make, says, write } from "./dom.js";
import { all, chosen, field, form, isCustom, rules } from "./form.js";
import { cannotGive, toQuanta } from "./gpus.js";
import { bounds, live, onLive } from "./live.js";
import { drawNodes } from "./nodes.js";
import { advise, judge } from "./problems.js";
import { refresh } from "./pages.js";
import { drawSliders } from "./sliders.js";

const KEYS = ["cpu", "memory", "shm", "fgpu"];
const part = (key, name) => form.querySelector(`[data-bai-box="${key}"] [data-bai-${name}]`);
const labelOf = (input) => (input && input.labels ? says(input.labels[0]) : "");
const radio = (name, value) => all(name).find((one) => one.value === value);

// ---- bounds
const boundLine = (text) => make("span", { class: "bai-bound" }, text);
const group = () => live().groups[chosen("resource_group")];
/** The amounts of GPU that can be given, where not every one within the bounds can. */
const exactly = (key) => {
  const amounts = key === "fgpu" && group() && group().fgpu_text;
  return amounts ? [boundLine(`can be given now: ${amounts}`)] : [];
};
const drawBounds = () => {
  const found = bounds();
  for (const key of KEYS) {
    const box = field(key);
    const bound = found[key];
    if (bound && box.type === "number") {
      box.min = bound.low;
      box.max = bound.high;
      // what was typed stays; where nothing can be had, nothing can be typed
      box.disabled = key === "fgpu" && Number(bound.high) === 0 && !Number(box.value);
    }
    if (bound) part(key, "bounds").replaceChildren(boundLine(bound.text), ...exactly(key));
  }
};
const drawSessions = () => {
  const { high, limit } = live().sessions;
  const box = field("sessions");
  if (box.type !== "number") return;
  if (high !== null) box.max = Math.max(high, 1);
  const most = Number(box.max);
  const range = most > 1 ? `1 to ${most}` : "1";
  part("sessions", "bounds").replaceChildren(
    boundLine(limit ? `${range} (${limit})` : range),
  );
  const full = byId("bai-full");
  full.hidden = high === null || high > 0;
  if (!full.hidden) write(full, `0 sessions ${limit}: end one to launch one.`);
};

// ---- presets
const misfit = (key) => {
  const preset = rules.presets[key];
  const where = chosen("resource_group");
  if (preset && !preset.groups.includes(where)) {
    return `Not in ${labelOf(radio("resource_group", where)) || "this group"}.`;
  }
  const environment = chosen("environment");
  if (preset && preset.unfit.includes(environment)) {
    return `Not for ${labelOf(radio("environment", environment))}.`;
  }
  const reasons = (live().presets[key] || {})[where] || [];
  return reasons.length ? `Does not fit now: ${reasons.join("; ")}.` : "";
};
const drawPresets = () => {
  for (const card of all("preset")) {
    const why = misfit(card.value);
    const about = byId(`${card.id}:about`);
    let reason = about.querySelector("[data-bai-misfit]");
    if (!reason) {
      reason = make("span", { class: "bai-reason", "data-bai-misfit": true });
      about.append(reason);
    }
    write(reason, why);
    reason.hidden = !why;
    // a chosen one stays enabled: else the browser would not send it
    card.disabled = Boolean(why) && !card.checked;
  }
};
/** A chosen preset that cannot be had is marked, not dropped. */
const adviseOnPreset = () => {
  if (isCustom()) return [];
  const card = all("preset").find((one) => one.checked);
  const why = card && misfit(card.value);
  if (!why) return [];
  const never = !why.startsWith("Does not fit now");
  return [{ field: card, label: labelOf(card), reason: why, lasting: never }];
};

// ---- an amount of GPU is given exactly or not at all (R12)
const adviseOnGpu = () => {
  const box = field("fgpu");
  const asked = toQuanta(amount("fgpu"));
  if (!isCustom() || !asked || !box.willValidate || !box.validity.valid || !group()) return [];
  const why = cannotGive(group(), asked);
  return why ? [{ field: box, label: labelOf(box), reason: why, lasting: false }] : [];
};

// ---- shared memory is part of RAM (R11)
const warning = make("div", { class: "bai-warning", role: "status" });
const amount = (key) => Number(field(key).value || (bounds()[key] || { low: 0 }).low);
const judgeShared = () => {
  const over = isCustom() && amount("shm") > amount("memory");
  field("shm").setCustomValidity(
    over ? `is part of RAM: at most ${amount("memory")} GiB` : "",
  );
};
const warn = () => {
  const [shm, memory] = [amount("shm"), amount("memory")];
  const much = isCustom() && shm <= memory && shm * 2 >= memory && memory > 0;
  write(warning, much ? "Half of the RAM or more: little is left for the rest of the session." : "");
};

/** Groups, what the user holds. */
const drawFree = () => {
  write(byId("bai-held"), live().held_text);
  for (const shown of form.querySelectorAll("[data-bai-free]")) {
    const known = live().groups[shown.dataset.baiFree];
    if (!known) continue;
    write(shown, known.free);
    drawNodes(shown.closest(".bai-about"), known.nodes);
  }
};

const draw = () => {
  drawBounds();
  drawSessions();
  drawPresets();
  drawSliders();
  warn();
};

export const prepareResources = () => {
  field("shm").closest("[data-bai-box]").append(warning);
  judge(judgeShared);
  advise(adviseOnPreset);
  advise(adviseOnGpu);
  form.addEventListener("input", draw);
  onLive(() => {
    drawFree();
    draw();
    refresh();
  });
  window.addEventListener("pageshow", draw);
  drawFree();
  draw();
};

