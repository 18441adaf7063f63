// A search box above the environments, where there are too many to look through.

import { byId, make, says, write } from "./dom.js";
import { form } from "./form.js";

const FEW = 8;

/** Title, description, tags, versions and category; what it needs has numbers like a version. */
const wordsOf = (card) => {
  const copy = card.cloneNode(true);
  copy.querySelectorAll(".bai-fine, .bai-reason").forEach((part) => part.remove());
  const { ariaLabel } = card.closest("[data-bai-category]");
  return `${says(copy)} ${ariaLabel}`.toLowerCase();
};

export const prepareSearch = () => {
  const cards = [...byId("bai-environment").querySelectorAll(".bai-card")];
  if (cards.length <= FEW) return;
  const words = new Map(cards.map((card) => [card, wordsOf(card)]));
  const box = make("input", {
    type: "search",
    class: "form-control",
    id: "bai-search",
    placeholder: "Name, tag or version",
    autocomplete: "off",
    "aria-describedby": "bai-search:found",
  });
  const found = make("span", { class: "bai-fine", id: "bai-search:found", role: "status" });
  const bar = make(
    "div",
    { class: "bai-search" },
    make("label", { class: "form-label", for: box.id }, "Search"),
    box,
    found,
  );
  const filter = () => {
    const wanted = box.value.toLowerCase().split(/\s+/).filter(Boolean);
    const fits = (card) => wanted.every((word) => words.get(card).includes(word));
    const fitting = cards.filter(fits);
    for (const card of cards) {
      card.hidden = !fitting.includes(card) && !card.querySelector(":scope > input").checked;
    }
    for (const group of byId("bai-environment").querySelectorAll("[data-bai-category]")) {
      group.hidden = !group.querySelector(".bai-card:not([hidden])");
    }
    write(found, wanted.length ? `${fitting.length} of ${cards.length} environments` : "");
  };
  box.addEventListener("input", (event) => {
    event.stopPropagation();  // it is no field of the form
    filter();
  });
  box.addEventListener("keydown", (event) => {
    if (event.key === "Enter") event.preventDefault();
  });
  form.addEventListener("input", ({ target }) => {
    if (target.name === "environment") filter();
  });
  byId("bai-environment").querySelector("[data-bai-category]").before(bar);
};
