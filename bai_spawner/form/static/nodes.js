// What each node and device of a resource group has free, and what keeps the shares of a device,
// where there is more to tell than the one line of the group: several nodes, or a GPU.

import { make, says, write } from "./dom.js";
import { badge, byTerms, inForce, isSimulated, meaning, nameOf } from "./gpus.js";

const GIB = 2 ** 30;
const SHORT = 12;
const NOT_THERE = "It is not there: a session that is given it gets no GPU.";
const shapes = new WeakMap();

const gib = (bytes) => `${Number((bytes / GIB).toFixed(1))} GiB`;
/** Of devices with one title each has the beginning of its uuid behind it. */
const labelOf = (device) => {
  const name = nameOf(device);
  return name === device.device ? name : `${name} (${device.device.slice(0, SHORT)})`;
};

const nodeText = ({ node, cpu, memory }) => `${node}: ${cpu} CPU, ${gib(memory)} RAM`;
const freeText = ({ free, total }) => `${free} of ${total} fGPU`;

const deviceLine = (device) => {
  const name = labelOf(device);
  if (device.note) return make("li", {}, make("span", { class: "bai-device" }, name));
  const meter = { min: 0, max: device.total, value: device.free, "aria-label": `Free of ${name}` };
  return make(
    "li",
    {},
    make("span", { class: "bai-device" }, `${name}: `),
    make("span", { class: "bai-free" },
      make("span", { "data-bai-device": device.device }, freeText(device)),
      make("meter", meter)),
  );
};
/** What memory a share is, with the device's name where that differs among them. */
const shares = (devices) => {
  const found = new Map(devices.filter(({ share }) => share).map((one) => [one.share, nameOf(one)]));
  return [...found].map(([share, name]) =>
    make("li", {}, found.size > 1 ? `${name}: ${share}` : share));
};
const termsOf = (device) => {
  if (device.note) return make("span", { class: "bai-reason" }, `Not handed out: ${device.note}`);
  return make(
    "details",
    { class: "bai-terms" },
    make("summary", {}, `GPU: ${inForce(device)}`),
    isSimulated(device) ? make("span", {}, NOT_THERE) : meaning(device),
  );
};
const gpusLine = (devices) => make(
  "li",
  { class: "bai-gpus" },
  ...(isSimulated(devices[0]) ? [badge()] : []),
  make("ul", {}, ...devices.map(deviceLine), ...shares(devices)),
  termsOf(devices[0]),
);
const nodeLine = (node) => {
  const line = make("li", {}, make("span", { "data-bai-node": node.node }, nodeText(node)));
  if (node.devices.length) line.append(make("ul", {}, ...byTerms(node.devices).map(gpusLine)));
  return line;
};

/** All but the numbers that change with every launch. */
const shapeOf = (nodes) => JSON.stringify(
  nodes.map(({ node, devices }) => [node, devices.map(({ free, ...rest }) => rest)]),
);

/** New numbers in a list whose shape is the same: what is open stays so, and the focus too. */
const renew = (list, nodes) => {
  const lines = [...list.querySelectorAll("[data-bai-node]")];
  nodes.forEach((node, index) => write(lines[index], nodeText(node)));
  const texts = [...list.querySelectorAll("[data-bai-device]")];
  const devices = nodes.flatMap((node) => byTerms(node.devices).flat()).filter(({ note }) => !note);
  devices.forEach((device, index) => {
    write(texts[index], freeText(device));
    texts[index].nextElementSibling.setAttribute("value", device.free);
  });
};

/** Shows them below `about`, a group's description, in place of what was shown there. */
export const drawNodes = (about, nodes) => {
  const old = about.parentElement.querySelector(".bai-nodes");
  const shape = shapeOf(nodes);
  if (old && shapes.get(old) === shape) {
    renew(old, nodes);
    return;
  }
  const summaries = old ? [...old.querySelectorAll("summary")] : [];
  const open = new Set(summaries.filter((one) => one.parentElement.open).map(says));
  const focused = summaries.find((one) => one === document.activeElement);
  if (old) old.remove();
  if (nodes.length < 2 && !nodes.some(({ devices }) => devices.length)) return;
  const list = make("ul", { class: "bai-nodes", "aria-label": "Free now" }, ...nodes.map(nodeLine));
  shapes.set(list, shape);
  about.after(list);
  for (const summary of list.querySelectorAll("summary")) {
    summary.parentElement.open = open.has(says(summary));
    if (focused && says(summary) === says(focused)) summary.focus({ preventScroll: true });
  }
};
