// The sentence that explains a resource, behind an i button: a disclosure, by mouse or by key.

import { make, says } from "./dom.js";
import { form } from "./form.js";

export const prepareAbouts = () => {
  for (const about of form.querySelectorAll("[data-bai-about]")) {
    const box = about.closest("[data-bai-box]");
    const label = box.querySelector(".form-label");
    about.id = `${box.querySelector("[name]").id}:about`;
    const button = make("button", {
      type: "button",
      class: "bai-info",
      "aria-expanded": "false",
      "aria-controls": about.id,
      "aria-label": `About ${says(label)}`,
    }, "i");
    const show = (on) => {
      about.hidden = !on;
      button.setAttribute("aria-expanded", String(on));
    };
    button.addEventListener("click", () => show(about.hidden));
    button.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || about.hidden) return;
      event.stopPropagation();
      show(false);
    });
    label.after(button);
    show(false);
  }
};
