// What the list is asked for: the address says it, so that going back, loading again and a link
// all lead to the same list. Its keys are those of `bai_spawner.service.question`.

import { STATUSES, TABS } from "./sessions_words.js";

const DEFAULTS = {
  tab: "running",
  text: "",
  status: "",
  group: "",
  environment: "",
  user: "",
  sort: "created",
  order: "desc",
  page: 1,
};
const FILTERS = ["text", "status", "group", "environment", "user"];
/** What a list can be sorted by, and what people call it. */
export const SORTS = {
  created: "Started",
  ended: "Ended",
  elapsed: "Elapsed",
  name: "Session",
  user: "Owner",
  environment: "Environment",
  group: "Group",
  status: "Status",
  cpu: "CPU",
  memory: "Memory",
  gpu: "GPU",
};
/** Of these the first comes first, where nothing else is said; of numbers and times the last. */
const ALPHABETIC = ["name", "user", "environment", "group", "status"];
export const LONGEST_TEXT = 200;

const accepts = {
  tab: (value) => Object.hasOwn(TABS, value),
  status: (value) => Object.hasOwn(STATUSES, value),
  sort: (value) => Object.hasOwn(SORTS, value),
  order: (value) => value === "asc" || value === "desc",
  text: (value) => value.length <= LONGEST_TEXT,
  page: (value) => /^[1-9]\d{0,5}$/.test(value),
};

/** A question as an address's query says it; what nobody could have asked is left out. */
export const read = (search) => {
  const said = new URLSearchParams(search);
  const found = Object.keys(DEFAULTS)
    .map((key) => [key, said.get(key)])
    .filter(([key, value]) => value && (!accepts[key] || accepts[key](value)));
  const question = { ...DEFAULTS, ...Object.fromEntries(found) };
  return { ...question, page: Number(question.page) };
};

const query = (entries) => {
  const said = new URLSearchParams(entries).toString();
  return said && `?${said}`;
};

/** The query of an address, without what goes without saying. */
export const toAddress = (question) =>
  query(Object.entries(question).filter(([key, value]) => value !== DEFAULTS[key]));

/** The query that asks the service, for one page or for the whole list. */
export const toService = ({ page, ...question }, { whole = false } = {}) => {
  const asked = whole ? question : { ...question, page };
  return query(Object.entries(asked).filter(([, value]) => value !== ""));
};

/**
 * The question with some of it changed. Whatever changes, it begins at the first page; another
 * tab has other statuses, and a session that runs has no end to sort by.
 */
export const changed = (question, change) => {
  const anew = { ...question, page: 1, ...change };
  if (anew.tab !== question.tab) {
    anew.status = "";
    if (anew.sort === "ended" && anew.tab === "running") {
      return { ...anew, ...sortedBy(anew, "created") };
    }
  }
  return anew;
};

/** Sorted by a key: the other way round when it was already. */
export const sortedBy = ({ sort, order }, key) => {
  if (sort === key) return { sort, order: order === "asc" ? "desc" : "asc" };
  return { sort: key, order: ALPHABETIC.includes(key) ? "asc" : "desc" };
};

export const isFiltered = (question) => FILTERS.some((key) => question[key] !== "");

/** The question without its filters. */
export const unfiltered = (question) =>
  changed(question, Object.fromEntries(FILTERS.map((key) => [key, ""])));
