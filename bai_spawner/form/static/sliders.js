// A slider beside each number box; the two agree. The slider counts steps from the lower bound,
// so that both bounds can be reached whatever they are; the box is what is sent.

import { make, says } from "./dom.js";
import { changed, field } from "./form.js";

const STEPS = { cpu: 1, memory: 0.25, shm: 0.0625, sessions: 1 };
const COARSE = 400;
const sliders = new Map();

const plain = (number) => String(Math.round(number * 10_000) / 10_000);

/** From where to where a slider goes, and in which steps; few enough to be of use by key. */
const scale = (box) => {
  const low = Number(box.min) || 0;
  const high = Math.max(Number(box.max) || 0, low);
  let step = STEPS[box.name] || Number(box.step) || 1;
  while (!Number.isInteger(step) && (high - low) / step > COARSE) step *= 2;
  return { low, high, step, count: Math.ceil((high - low) / step - 1e-9) };
};
const toValue = ({ low, high, step, count }, index) => {
  if (index <= 0) return low;
  if (index >= count) return high;
  return Math.floor(low / step + 1e-9) * step + index * step;
};
const toIndex = (found, value) => {
  if (value <= found.low) return 0;
  if (value >= found.high) return found.count;
  return Math.min(Math.max(Math.round((value - found.low) / found.step), 0), found.count);
};

const draw = (box, slider) => {
  const found = scale(box);
  slider.max = found.count;
  slider.disabled = box.disabled || box.type !== "number" || found.count === 0;
  // the slider under a moving hand is left alone: its value is where the hand is
  if (document.activeElement !== slider || toIndex(found, Number(box.value)) !== slider.valueAsNumber) {
    slider.value = toIndex(found, box.value === "" ? found.low : Number(box.value));
  }
  const unit = box.closest("[data-bai-box]").querySelector(".input-group-text");
  slider.setAttribute("aria-valuetext", `${box.value || plain(found.low)} ${says(unit)}`.trim());
};
export const drawSliders = () => sliders.forEach((slider, box) => draw(box, slider));

export const prepareSliders = (names) => {
  for (const name of names) {
    const box = field(name);
    const slider = make("input", {
      type: "range",
      class: "form-range",
      id: `${box.id}:slider`,
      min: "0",
      step: "1",
      "aria-label": `${says(box.labels[0])}, slider`,
      autocomplete: "off",
    });
    slider.addEventListener("input", (event) => {
      event.stopPropagation();  // it is no field of the form
      box.value = plain(toValue(scale(box), slider.valueAsNumber));
      changed(box);
    });
    const group = box.closest(".input-group") || box;
    const line = make("div", { class: "bai-slide bai-mark-after" });
    group.before(line);
    line.append(slider, group);
    sliders.set(box, slider);
  }
};
