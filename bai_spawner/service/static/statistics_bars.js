// What the visitor has and can still get, two bars for each resource (R23): the upper one is of
// the chosen group, the lower one of all groups. Which group was chosen is kept in the browser.

import { makeBar } from "./bars.js";
import { make, write } from "./dom.js";
import { remembered } from "./remembered.js";
import { counted } from "./sessions_words.js";

const GONE = [400, 404];
const ABOUT = "Upper bar: what you have in this group, out of that and what you can still get in it. Lower bar:"
  + " what you have in all groups, out of that and what you can still get in this one. You can still"
  + " get what your limits and the group's free capacity both allow now.";

const amount = ({ key, unit }, text) => {
  if (key === "cpu") return `${text} ${text === "1" ? "core" : unit}`;
  return text;
};

/** The two bars of a resource below its name. */
const makeResource = () => {
  const heading = make("h2", { class: "bai-resource-name" });
  const [upper, lower] = [makeBar(), makeBar()];
  const element = make("div", { class: "bai-resource" }, heading, upper.element, lower.element);
  const draw = (resource, group) => {
    const { label, texts } = resource;
    const left = Number(resource.left) > 0 ? `${texts.left} left` : "none left";
    write(heading, label);
    upper.draw({
      name: group,
      about: `${label} in ${group}`,
      words: `${amount(resource, texts.here)} · ${left}`,
      parts: [Number(resource.upper.part)],
      whole: Number(resource.upper.whole),
    });
    lower.draw({
      name: "All groups",
      about: `${label} in all groups`,
      words: amount(resource, texts.everywhere),
      parts: [Number(resource.lower.part)],
      whole: Number(resource.lower.whole),
    });
  };
  return { element, draw };
};

const makeSessions = () => {
  const bar = makeBar();
  const heading = make("h2", { class: "bai-resource-name" }, "Sessions");
  const element = make("div", { class: "bai-resource" }, heading, bar.element);
  const draw = ({ used, limit }) => bar.draw({
    name: "All groups",
    about: "Sessions in all groups",
    words: limit === null ? `${used}, as many as there is room for` : `${used} of ${counted(limit, "session")}`,
    parts: [used],
    whole: limit,
  });
  return { element, draw };
};

/** The button that opens the sentence; Escape closes it again. */
const makeAbout = () => {
  const text = make("p", { class: "bai-statistics-about", id: "bai-statistics-about", hidden: true }, ABOUT);
  const button = make("button", {
    type: "button", class: "bai-info", "aria-expanded": "false", "aria-controls": text.id, "aria-label": "About these bars",
  }, make("i", { class: "fa-solid fa-circle-info", "aria-hidden": "true" }));
  const show = (on) => {
    text.hidden = !on;
    button.setAttribute("aria-expanded", String(on));
  };
  button.addEventListener("click", () => show(text.hidden));
  button.addEventListener("keydown", ({ key }) => {
    if (key === "Escape") show(false);
  });
  return { button, text };
};

/** The group: a list to choose from, or its name where there is one alone. */
const makePicker = (chosen) => {
  const list = make("select", { class: "form-select form-select-sm", id: "bai-statistics-group" });
  const label = make("label", { for: list.id }, "Resource group");
  const alone = make("span", { class: "bai-statistics-alone" });
  const element = make("div", { class: "bai-statistics-pick" }, label, list, alone);
  let drawn = "";
  list.addEventListener("change", () => chosen(list.value));
  const draw = (groups, group) => {
    const is = JSON.stringify(groups);
    if (drawn !== is) {
      list.replaceChildren(...groups.map(({ key, title }) => make("option", { value: key }, title)));
    }
    drawn = is;
    list.value = group;
    const isOne = groups.length < 2;
    list.hidden = isOne;
    write(alone, isOne ? groups.map(({ title }) => title).join("") : "");
    write(label, isOne ? "Resource group:" : "Resource group");
  };
  return { element, draw };
};

/** Fills the place; `refresh()` asks for the numbers again. */
export const showStatistics = (place, service) => {
  const kept = remembered(`bai-statistics-group:${service.user}`);
  const resources = new Map();
  const sessions = makeSessions();
  const bars = make("div", { class: "bai-resources", hidden: true });
  const trouble = make("p", { class: "bai-statistics-trouble", hidden: true });
  let group = kept.read();
  let asked = 0;

  const draw = (told) => {
    const { title } = told.groups.find(({ key }) => key === told.group) || { title: told.group };
    picker.draw(told.groups, told.group);
    const cards = told.resources.map((resource) => {
      const card = resources.get(resource.key) || makeResource();
      resources.set(resource.key, card);
      card.draw(resource, title);
      return card.element;
    });
    sessions.draw(told.sessions);
    const wanted = [...cards, sessions.element];
    const isSame = wanted.length === bars.children.length && wanted.every((card, at) => card === bars.children[at]);
    if (!isSame) bars.replaceChildren(...wanted);
    const isNone = !told.groups.length;
    bars.hidden = isNone;
    head.hidden = isNone;
    write(trouble, isNone ? "No resource group is open to you: ask an administrator." : "");
    trouble.hidden = !isNone;
  };
  const fail = ({ message }) => {
    write(trouble, bars.hidden
      ? `What you can still get cannot be shown now: ${message}.`
      : `These numbers may be old: ${message}.`);
    trouble.hidden = false;
  };
  const ask = async () => {
    const query = group ? `?${new URLSearchParams({ group })}` : "";
    try {
      return await service.get(`api/statistics${query}`);
    } catch (error) {
      if (!group || !GONE.includes(error.status)) throw error;
    }
    // it is open to the visitor no more
    group = "";
    return service.get("api/statistics");
  };
  const refresh = async () => {
    asked += 1;
    const mine = asked;
    try {
      const told = await ask();
      if (mine === asked) draw(told);
    } catch (error) {
      if (mine === asked) fail(error);
    }
  };
  const picker = makePicker((chosen) => {
    group = chosen;
    kept.write(chosen);
    refresh();
  });
  const about = makeAbout();
  const head = make("div", { class: "bai-statistics-head" }, picker.element, about.button);

  place.replaceChildren(head, about.text, trouble, bars);
  head.hidden = true;
  refresh();
  return { refresh };
};
