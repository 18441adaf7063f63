// Apps on ports of the host: how one is opened there, who can reach it, and its end (R35 to R37).

import { make, write } from "./dom.js";
import { used, whom } from "./openings_words.js";
import { now } from "./sessions_clock.js";
import { moment } from "./sessions_words.js";

const FIRST = 1024;
const LAST = 65535;

const address = ({ id }) => `api/sessions/${encodeURIComponent(id)}/apps`;

const check = (id, text, ...more) => make(
  "div",
  { class: "form-check" },
  make("input", { type: "checkbox", class: "form-check-input", id }),
  make("label", { class: "form-check-label", for: id }, text),
  ...more,
);

const field = (id, text, attributes) => make(
  "div",
  {},
  make("label", { class: "form-label", for: id }, text),
  make("input", { class: "form-control form-control-sm", id, ...attributes }),
);

const row = (opening, titles, close) => {
  const link = make(
    "a", { href: opening.url, target: "_blank", rel: "noopener" }, opening.url,
  );
  const badge = opening.public ? make("span", { class: "badge text-bg-warning" }, "public") : "";
  const title = titles.get(opening.app) || opening.app;
  const button = make(
    "button",
    {
      type: "button",
      class: "btn btn-sm btn-outline-danger",
      "aria-label": `Close ${title} at ${opening.url}`,
    },
    "Close",
  );
  button.addEventListener("click", () => {
    button.disabled = true;
    close(opening);
  });
  return make(
    "li",
    { "data-opening": opening.id },
    make("div", {}, make("strong", {}, title), " ", badge, make("div", {}, link)),
    make(
      "div",
      { class: "bai-fine" },
      `${whom(opening, now())}; open since ${moment(opening.opened, now())},`
        + ` ${used(opening, now())}. `,
      opening.told,
    ),
    button,
  );
};

/** The options and the list for the apps of one session, where its user has them. */
export class Openings {
  #session;

  #service;

  #titles;

  #list = make("ul", { class: "bai-openings" });

  #now = make(
    "section",
    { "aria-label": "Open on ports", hidden: true },
    make("h3", { class: "h6 mt-3" }, "Open on ports"),
    this.#list,
  );

  #said = make("p", { role: "status", class: "bai-fine mb-0" });

  #options = make("fieldset", { class: "bai-open-options", hidden: true });

  #isNeeded;

  /** `isNeeded`: whether there is an app that can be opened on a port. */
  constructor(session, service, isNeeded) {
    this.#isNeeded = isNeeded;
    this.#session = session;
    this.#service = service;
    this.#titles = new Map(session.apps.map(({ name, title }) => [name, title]));
    this.element = make("div", {}, this.#said, this.#now, this.#options);
  }

  /** Shows what is open, and what may be chosen. */
  async load() {
    let found;
    try {
      found = await this.#service.get(address(this.#session));
    } catch (error) {
      write(this.#said, `It cannot be said which apps are open: ${error.message}.`);
      return;
    }
    if (this.#options.hidden && found.offered && this.#isNeeded) this.#offer(found);
    this.#now.hidden = found.open.length === 0;
    this.#list.replaceChildren(
      ...found.open.map((one) => row(one, this.#titles, (opening) => this.#close(opening))),
    );
  }

  /** Whether an app is to be opened on a port of its own. */
  get areChosen() {
    return this.#is("public") || this.#is("preferred");
  }

  /** Whether nothing is half typed: such a field would be as if it were empty. */
  get areWhole() {
    const used = [
      ...(this.#is("public") ? [this.#options.querySelector("#bai-open-expires")] : []),
      ...(this.#is("preferred") ? [this.#options.querySelector(".bai-port")] : []),
    ];
    const unfinished = used.find(({ validity }) => validity.badInput);
    unfinished?.reportValidity();
    return !unfinished;
  }

  /** Opens an app; resolves to its address, or to null when it was refused. */
  async open(name) {
    write(this.#said, `Opening ${this.#titles.get(name)}…`);
    try {
      const path = `${address(this.#session)}/${encodeURIComponent(name)}`;
      const opening = await this.#service.post(path, this.#asked());
      write(this.#said, opening.told || `${this.#titles.get(name)} is open at ${opening.url}`);
      await this.load();
      return opening.url;
    } catch (error) {
      write(this.#said, `${this.#titles.get(name)} was not opened: ${error.message}.`);
      return null;
    }
  }

  async #close({ id, app, url }) {
    try {
      await this.#service.remove(`api/openings/${encodeURIComponent(id)}`);
      write(this.#said, `${this.#titles.get(app) || app} is closed: nobody reaches ${url} now.`);
    } catch (error) {
      write(this.#said, `It was not closed: ${error.message}.`);
    }
    await this.load();
  }

  #offer({ public: isPublic, preferred_port: isPreferred }) {
    if (!isPublic && !isPreferred) return;
    const port = make("input", {
      type: "number",
      class: "form-control form-control-sm bai-port",
      "aria-label": "Preferred port",
      min: FIRST,
      max: LAST,
      placeholder: `${FIRST} to ${LAST}`,
      disabled: true,
    });
    const parts = [
      make("legend", { class: "h6" }, "Options"),
      make("p", { class: "bai-fine mb-0" }, "Choose, then press an app of the image above: it is"
        + " opened on a port of its own. Without options it opens here, for you alone."),
    ];
    if (isPublic) {
      const more = make(
        "div",
        { class: "bai-open-more", hidden: true },
        make("p", { class: "bai-fine" }, "Whoever has its address gets in, without a login, until"
          + " you close it or the session ends."),
        field("bai-open-password", "Password (optional)", {
          type: "password", autocomplete: "new-password", minlength: 8, maxlength: 128,
        }),
        field("bai-open-allowed", "Only from these addresses (optional)", {
          type: "text", placeholder: "192.0.2.7, 198.51.100.0/24",
        }),
        field("bai-open-expires", "Until (optional)", { type: "datetime-local" }),
      );
      const box = check("bai-open-public", "Open app to public");
      box.addEventListener("change", () => { more.hidden = !this.#is("public"); });
      parts.push(box, more);
    }
    if (isPreferred) {
      const box = check("bai-open-preferred", "Try preferred port", port);
      box.addEventListener("change", () => { port.disabled = !this.#is("preferred"); });
      parts.push(box);
    }
    this.#options.append(...parts);
    this.#options.hidden = false;
  }

  #is(what) {
    return Boolean(this.#options.querySelector(`#bai-open-${what}`)?.checked);
  }

  #value(what) {
    return this.#options.querySelector(`#bai-open-${what}`)?.value.trim() || "";
  }

  #asked() {
    const asked = { public: this.#is("public") };
    if (this.#is("preferred")) {
      const text = this.#options.querySelector(".bai-port").value;
      asked.port = text === "" ? null : Number(text);
    }
    if (asked.public) {
      asked.password = this.#value("password");
      asked.allowed = this.#value("allowed").split(/[\s,]+/).filter(Boolean);
      const until = this.#value("expires");
      asked.expires = until ? new Date(until).toISOString() : null;
    }
    return asked;
  }
}
