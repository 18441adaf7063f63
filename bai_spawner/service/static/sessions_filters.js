// What the list can be asked for: tabs, search, filters, order and pages, drawn as the question
// is. Tabs and pages are links, so that a browser can open one in a window of its own.

import { byId, make, write } from "./dom.js";
import {
  LONGEST_TEXT, SORTS, changed, isFiltered, sortedBy, toAddress, unfiltered,
} from "./sessions_question.js";
import { STATUSES, counted, grouped } from "./sessions_words.js";

const TYPING_MS = 300;
const OF_TAB = {
  running: ["pending", "preparing", "running", "terminating"],
  finished: ["terminated", "cancelled"],
  others: [],
};
const tabs = [...document.querySelectorAll(".nav-tabs [data-tab]")];
const heads = [...byId("bai-list").querySelectorAll("[data-sort]")];
const search = byId("bai-search");
const order = byId("bai-order");
const selects = Object.fromEntries(
  ["status", "group", "environment", "user"].map((key) => [key, byId(`bai-${key}`)]),
);
const pages = byId("bai-pages");
const links = Object.fromEntries(
  [...pages.querySelectorAll("[data-page]")].map((link) => [link.dataset.page, link]),
);

let typing = 0;  // a timer, while somebody does

const address = (question) => window.location.pathname + toAddress(question);
const option = (value, text) => make("option", { value }, text);
const titled = ({ key, title }) => [key, title];

/** Fills a select, and leaves one alone that has these already: somebody may be choosing. */
const fill = (select, entries, chosen) => {
  // what is asked for may not be there any more, and is asked for all the same
  const missing = chosen && !entries.some(([value]) => value === chosen) ? [[chosen, chosen]] : [];
  const all = [...entries, ...missing];
  const shape = JSON.stringify(all);
  if (select.bai !== shape) {
    const [everything] = select.options;
    select.replaceChildren(everything, ...all.map(([value, text]) => option(value, text)));
    select.bai = shape;
  }
  select.value = chosen;
  select.closest(".bai-filter").hidden = all.length < 2 && !chosen;
};

const drawTabs = (question, counts) => {
  for (const tab of tabs) {
    const { tab: key } = tab.dataset;
    const isHere = key === question.tab;
    tab.href = address(changed(question, { tab: key }));
    tab.classList.toggle("active", isHere);
    if (isHere) tab.setAttribute("aria-current", "page");
    else tab.removeAttribute("aria-current");
    if (counts) write(tab.querySelector(".badge"), grouped(counts[key]));
  }
};
const drawFilters = (question, choices) => {
  if (!typing && search.value.trim() !== question.text) search.value = question.text;
  const statuses = OF_TAB[question.tab].map((key) => [key, STATUSES[key][0]]);
  fill(selects.status, statuses, question.status);
  if (choices) {
    fill(selects.group, choices.groups.map(titled), question.group);
    fill(selects.environment, choices.environments.map(titled), question.environment);
    if (selects.user) fill(selects.user, choices.users.map((name) => [name, name]), question.user);
  }
  byId("bai-clear").hidden = !isFiltered(question);
};
const drawOrder = (question) => {
  for (const head of heads) {
    const isHere = head.dataset.sort === question.sort;
    const cell = head.closest("th");
    const way = question.order === "asc" ? "ascending" : "descending";
    if (isHere) cell.setAttribute("aria-sort", way);
    else cell.removeAttribute("aria-sort");
  }
  order.value = `${question.sort} ${question.order}`;
};
const drawPages = (question, answer) => {
  const { total, page, pages: last, per_page: each, sessions } = answer;
  const first = (page - 1) * each + 1;
  const range = last > 1 ? `${grouped(first)}–${grouped(first + sessions.length - 1)} of ` : "";
  write(byId("bai-shown"), sessions.length ? `${range}${counted(total, "session")}` : "");
  pages.hidden = last < 2;
  write(byId("bai-page"), `Page ${grouped(page)} of ${grouped(last)}`);
  const leads = { first: 1, previous: page - 1, next: page + 1, last };
  for (const [name, link] of Object.entries(links)) {
    const to = leads[name];
    const canGo = to >= 1 && to <= last && to !== page;
    // a link that leads nowhere is none; what has the focus keeps it
    if (canGo) link.href = address({ ...question, page: to });
    else link.removeAttribute("href");
    link.dataset.to = canGo ? to : "";
    if (canGo) link.removeAttribute("aria-disabled");
    else link.setAttribute("aria-disabled", "true");
    link.parentElement.classList.toggle("disabled", !canGo);
  }
};

/** Draws the question; with an answer also what that says of counts, choices and pages. */
export const drawQuestion = (question, answer) => {
  drawTabs(question, answer?.counts);
  drawFilters(question, answer?.choices);
  drawOrder(question);
  if (answer) drawPages(question, answer);
};

/** A press that means this window, and no other. */
const isPlain = ({ defaultPrevented, button, metaKey, ctrlKey, shiftKey, altKey }) =>
  !(defaultPrevented || button || metaKey || ctrlKey || shiftKey || altKey);

/** `ask(question, { typing })` is called with another question; `question()` is the one now. */
export const prepareFilters = ({ question, ask }) => {
  const on = (element, act) => element.addEventListener("click", (event) => {
    if (!isPlain(event)) return;
    event.preventDefault();
    act();
  });
  for (const tab of tabs) on(tab, () => ask(changed(question(), { tab: tab.dataset.tab })));
  for (const head of heads) {
    on(head, () => ask(changed(question(), sortedBy(question(), head.dataset.sort))));
  }
  for (const link of Object.values(links)) {
    on(link, () => link.dataset.to && ask({ ...question(), page: Number(link.dataset.to) }));
  }
  for (const [key, select] of Object.entries(selects)) {
    select?.addEventListener("change", () => ask(changed(question(), { [key]: select.value })));
  }
  for (const [key, title] of Object.entries(SORTS)) {
    if (key === "user" && !selects.user) continue;
    order.append(option(`${key} desc`, `${title} ↓`), option(`${key} asc`, `${title} ↑`));
  }
  order.addEventListener("change", () => {
    const [sort, way] = order.value.split(" ");
    ask(changed(question(), { sort, order: way }));
  });
  search.maxLength = LONGEST_TEXT;
  const type = () => {
    clearTimeout(typing);
    typing = 0;
    const text = search.value.trim();
    if (text !== question().text) ask(changed(question(), { text }), { typing: true });
  };
  search.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(type, TYPING_MS);
  });
  search.closest("form").addEventListener("submit", (event) => {
    event.preventDefault();
    type();
  });
  for (const clear of document.querySelectorAll("[data-clear]")) {
    clear.addEventListener("click", () => {
      search.value = "";
      ask(unfiltered(question()));
      search.focus();
    });
  }
};
