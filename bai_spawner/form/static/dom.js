// The few things that every module does with the page. What a user wrote becomes text, never
// markup: nothing here, or in any other module, parses HTML.

export const byId = (id) => document.getElementById(id);

/** What a person reads of an element. */
export const says = (element) =>
  element ? element.textContent.replace(/\s+/g, " ").trim() : "";

/** An element with attributes; a true one stands without a value, a false one not at all. */
export const make = (tag, attributes = {}, ...children) => {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) made.setAttribute(name, "");
    else if (value !== false) made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
};

/** The element that a link within the page leads to. */
export const target = (link) => byId(link.getAttribute("href").slice(1));

/** Data that the server put into the page. */
export const embedded = (id) => JSON.parse(byId(id).textContent);

/** Writes a text where it differs: a live region that did not change says nothing. */
export const write = (element, text) => {
  if (element.textContent !== text) element.textContent = text;
};

/** Adds or takes away one id of those that describe an element to a screen reader. */
export const describe = (element, id, on = true) => {
  const ids = (element.getAttribute("aria-describedby") || "").split(/\s+/).filter(Boolean);
  const others = ids.filter((other) => other !== id);
  if (on) others.push(id);
  if (others.length) element.setAttribute("aria-describedby", others.join(" "));
  else element.removeAttribute("aria-describedby");
};
