// The last page: what will be launched, block by block, as lines of [what, how] (R13).

import { byId, make, says, target } from "./dom.js";
import {
  automatic, checked, chosen, count, field, form, isCustom, mounts, newFolders, review, sessionNames,
  variables,
} from "./form.js";

import { ableTo, badge, byTerms, inForce, isSimulated, toQuanta } from "./gpus.js";
import { live } from "./live.js";
import { each } from "./totals.js";

const DOTS = "••••••";
const SHOWN_NAMES = 6;
const reveal = byId("bai-reveal");

/** What keeps the share of a GPU: all that it could turn out to be, when it is sent. */
const gpuShare = () => {
  const group = live().groups[chosen("resource_group")];
  const asked = toQuanta(each().fgpu);
  if (!group || !asked) return [];
  const able = byTerms(ableTo(group.nodes, asked));
  if (!able.length) return [["GPU", "None here can give exactly that."]];
  return able.map(([device]) => (isSimulated(device)
    ? [badge(), `${inForce(device)}. It is not there: the session gets no GPU.`]
    : ["GPU", inForce(device)]));
};

const facts = {
  environment: () => {
    const card = checked("environment") && checked("environment").closest(".bai-card");
    if (!card) return [["", "None is chosen."]];
    const version = card.querySelector("select").selectedOptions[0].label;
    return [[says(card.querySelector("label")), `version ${version}`]];
  },
  name: () => {
    const names = sessionNames();
    if (!names.length) {
      const numbered = count() > 1 ? ", with a number behind it for each session" : "";
      return [["", `A word is drawn${numbered}.`]];
    }
    if (names.length <= SHOWN_NAMES) return [["", names.join(", ")]];
    return [["", `${names.slice(0, SHOWN_NAMES - 1).join(", ")} … ${names.at(-1)}`]];
  },
  variables: () => {
    const shown = ({ value }) => {
      if (value === null) return "has no '='";
      if (!value) return "no value: it is dropped";
      return reveal.checked ? value : DOTS;
    };
    const lines = variables().map((variable) => [variable.name, shown(variable)]);
    return lines.length ? lines : [["", "None."]];
  },
  folders: () => {
    const lines = automatic().map((row) => [...row.children].map(says));
    for (const select of mounts()) {
      lines.push([select.name.slice("mount:".length), select.selectedOptions[0].label]);
    }
    for (const box of newFolders()) lines.push([box.value.trim(), "Made for you, read and write"]);
    const none = "None is mounted: all files are deleted when the session ends.";
    return lines.length ? lines : [["", none]];
  },
  resources: () => {
    const card = checked("preset") && checked("preset").closest(".bai-card");
    const lines = card && !isCustom()
      ? [[says(card.querySelector("label")), says(card.querySelector(".bai-amounts"))]]
      : [...form.querySelectorAll(".bai-custom [name]:enabled")].map((box) => [
        says(box.labels[0]),
        box.value
          ? `${box.value} ${says(box.parentElement.querySelector(".input-group-text"))}`
          : "the least that the environment needs",
      ]);
    const many = field("sessions").value || "1";
    return [...lines, ["", `× ${many} session${many === "1" ? "" : "s"}`], ...gpuShare()];
  },
  group: () => {
    const one = checked("resource_group");
    const fixed = byId("bai-resource_group").querySelector("strong");
    return [["", says(one ? one.labels[0] : fixed) || "None is offered."]];
  },
};

const line = ([what, how]) => {
  if (!what) return make("li", {}, how);
  return make("li", {}, make("strong", {}, what), " ", make("span", {}, how));
};
const blocks = [...review.querySelectorAll("[data-bai-review]")];
// a variable's problem is in the block of the variables, not in that of their whole page
const blockOf = (problem) =>
  blocks.filter((block) => target(block.querySelector("a")).contains(problem.field)).at(-1);

export const drawReview = (found) => {
  for (const block of blocks) {
    const its = found.filter((problem) => blockOf(problem) === block);
    block.classList.toggle("bai-wrong", its.length > 0);
    block.querySelector(".bai-reason").replaceChildren(
      ...its.map((problem) => make("li", {}, `${problem.label}: ${problem.reason}`)),
    );
    block.querySelector(".bai-facts").replaceChildren(
      ...facts[block.dataset.baiReview]().map(line),
    );
  }
  reveal.parentElement.hidden = !variables().some((variable) => variable.value);
};
