// The form's pages, one at a time, and a review of what will be launched (R1, R3, R13, R14).
//
// The form stays what it is without a script: one form, sent as a whole. This hides and shows
// its parts, and tells what the page knows to be wrong before it is sent; the server judges.
// Which page is shown is in the history's state: the address, its fragment too, is never
// touched. What a user wrote becomes text, never markup.
(() => {
  const byId = (id) => document.getElementById(id);
  const form = byId("spawn_form");
  const pages = [...form.querySelectorAll("[data-bai-page]")];
  const launchButton = byId("bai-launch-button");

  // ---- one press, one session; a page that comes back from history can be sent again
  let launchLabel = "LAUNCH";
  const sending = (on) => {
    launchButton.disabled = on;
    launchButton.textContent = on ? "LAUNCHING…" : launchLabel;
  };
  window.addEventListener("pageshow", () => sending(false));
  if (!pages.length) {
    form.addEventListener("submit", () => sending(true));
    return;
  }

  const review = byId("bai-review");
  const steps = byId("bai-pages");
  const summary = byId("bai-problems");
  const backButton = byId("bai-back");
  const nextButton = byId("bai-next");
  const blocked = byId("bai-blocked");
  const unvisited = byId("bai-unvisited");
  const reveal = byId("bai-reveal");
  const visited = new Set("baiFilled" in steps.dataset ? pages : [review]);
  let current = pages[0];

  const field = (name) => form.elements[name];
  const checked = (name) => form.querySelector(`[name="${name}"]:checked`);
  const pageOf = (element) => element.closest("[data-bai-page]");
  const says = (element) => (element ? element.textContent.replace(/\s+/g, " ").trim() : "");
  const target = (link) => byId(link.getAttribute("href").slice(1));
  const item = (...parts) => {
    const made = document.createElement("li");
    made.append(...parts);
    return made;
  };

  // ---- what was chosen
  const custom = () => byId("bai-preset").checked;
  const mounts = () => [...form.querySelectorAll('[name^="mount:"]')].filter((s) => s.value);
  const newFolder = () => (field("new_folder") ? field("new_folder").value.trim() : "");
  // as the server reads them: a line without a name is passed over
  const variables = () =>
    field("env").value.split(/\r\n|\n|\r/).flatMap((line, index) => {
      const [name] = line.split("=", 1);
      if (!name.trim()) return [];
      const value = line.includes("=") ? line.slice(name.length + 1) : null;
      return [{ name: name.trim(), value, line: index + 1 }];
    });

  // ---- what is wrong: problems are {field, label, reason, lasting}
  // what the server told stands in the summary; it lasts if the same form is refused again
  let told = [...document.querySelectorAll("#bai-problems li:has(a)")].map((line) => {
    const link = line.querySelector("a");
    const message = says(line.querySelector("span"));
    const lasting = "baiLasting" in line.dataset;
    return { field: target(link), label: says(link), reason: message, lasting };
  });

  const judge = () => {
    const odd = variables().find((variable) => variable.value === null);
    field("env").setCustomValidity(odd ? `line ${odd.line} has no '='; write NAME=value` : "");
    const alone = field("alone");
    if (!alone) return;
    const fine = alone.checked || mounts().length || newFolder();
    alone.setCustomValidity(fine ? "" : "no folder is mounted: mount one, or tick this box");
  };
  const counts = (control) => custom() || !control.closest(".bai-custom");
  const wrong = (control) => control.willValidate && counts(control) && !control.validity.valid;
  const reason = (control) => {
    const state = control.validity;
    if (state.patternMismatch) return control.title;
    if (state.badInput) return "is not a number";
    if (state.rangeUnderflow || state.rangeOverflow) {
      return `must be at least ${control.min} and at most ${control.max}`;
    }
    if (state.stepMismatch) return `goes in steps of ${control.step}`;
    return control.validationMessage;
  };
  const label = (control) =>
    says(control.type === "checkbox" ? pageOf(control).querySelector("legend") : control.labels[0]);
  const seen = () => {
    judge();
    return [...form.elements]
      .filter((control) => wrong(control) && !told.some((problem) => problem.field === control))
      .map((control) => (
        { field: control, label: label(control), reason: reason(control), lasting: true }
      ));
  };
  const order = ({ field: a }, { field: b }) => {
    if (a === b) return 0;
    return a.compareDocumentPosition(b) & Node.DOCUMENT_POSITION_FOLLOWING ? -1 : 1;
  };
  const problems = () => [...told, ...seen()].sort(order);

  // an edit may have mended what the server told; two fields stand for themselves
  const independent = (control) => ["session_name", "env"].includes(control.name);
  const settles = (edited, problem) => {
    if (edited === problem.field) return true;
    if (independent(edited) || independent(problem.field)) return false;
    const page = pageOf(problem.field);
    const bounding = edited.name === "environment" && page.id === "bai-resources";
    return bounding || page === pageOf(edited);
  };
  const settle = (edited) => {
    const settled = told.filter((problem) => settles(edited, problem));
    told = told.filter((problem) => !settled.includes(problem));
    settled.forEach((problem) => unmark(problem.field));
  };

  // ---- marks at fields
  const marked = new Set();
  const mark = ({ field: control, reason: why }) => {
    if (byId(`${control.id}:problem`)) return;
    const message = document.createElement("div");
    message.className = "invalid-feedback d-block";
    message.id = `${control.id}:problem`;
    message.textContent = why;
    const box = control.closest(".input-group") || control;
    (control.type === "checkbox" ? control.labels[0] : box).after(message);
    control.classList.add("is-invalid");
    control.setAttribute("aria-invalid", "true");
    const about = control.getAttribute("aria-describedby") || "";
    control.setAttribute("aria-describedby", `${about} ${message.id}`.trim());
    marked.add(control);
  };
  const unmark = (control) => {
    const message = `${control.id}:problem`;
    if (byId(message)) byId(message).remove();
    const alike = [...form.elements].filter((one) => control.name && one.name === control.name);
    for (const one of alike) {
      one.classList.remove("is-invalid");
      one.removeAttribute("aria-invalid");
      const about = (one.getAttribute("aria-describedby") || "").replace(message, "").trim();
      if (about) one.setAttribute("aria-describedby", about);
      else one.removeAttribute("aria-describedby");
    }
    marked.delete(control);
  };

  // ---- the review: by block, lines of [what, how]
  const dots = "••••••";
  const facts = {
    environment: () => {
      const card = checked("environment") && checked("environment").closest(".bai-card");
      if (!card) return [["", "None is chosen."]];
      const version = card.querySelector("select").selectedOptions[0].label;
      return [[says(card.querySelector("label")), `version ${version}`]];
    },
    name: () => [["", field("session_name").value.trim() || "A word is drawn."]],
    variables: () => {
      const shown = ({ value }) => {
        if (value === null) return "has no '='";
        if (!value) return "no value: it is dropped";
        return reveal.checked ? value : dots;
      };
      const lines = variables().map((variable) => [variable.name, shown(variable)]);
      return lines.length ? lines : [["", "None."]];
    },
    folders: () => {
      const lines = [...form.querySelectorAll("[data-bai-automatic]")].map(
        (row) => [...row.children].map(says),
      );
      for (const select of mounts()) {
        lines.push([select.name.slice("mount:".length), select.selectedOptions[0].label]);
      }
      if (newFolder()) lines.push([newFolder(), "Made for you, read and write"]);
      const none = "None is mounted: all files are deleted when the session ends.";
      return lines.length ? lines : [["", none]];
    },
    resources: () => {
      const card = checked("preset") && checked("preset").closest(".bai-card");
      const lines = card && !custom()
        ? [[says(card.querySelector("label")), says(card.querySelector(".bai-amounts"))]]
        : [...form.querySelectorAll(".bai-custom input:enabled")].map((box) => [
          says(box.labels[0]),
          box.value
            ? `${box.value} ${says(box.parentElement.querySelector(".input-group-text"))}`
            : "the least that the environment needs",
        ]);
      const count = field("sessions").value;
      return [...lines, ["", `× ${count} session${count === "1" ? "" : "s"}`]];
    },
    group: () => {
      const one = checked("resource_group");
      const fixed = byId("bai-resource_group").querySelector("strong");
      return [["", says(one ? one.labels[0] : fixed) || "None is offered."]];
    },
  };
  const line = ([what, how]) => {
    if (!what) return item(how);
    const name = document.createElement("strong");
    name.textContent = what;
    const text = document.createElement("span");
    text.textContent = how;
    return item(name, " ", text);
  };
  const blocks = [...review.querySelectorAll("[data-bai-review]")];
  // a variable's problem is in the block of the variables, not in that of their whole page
  const blockOf = (problem) =>
    blocks.filter((block) => target(block.querySelector("a")).contains(problem.field)).at(-1);
  const drawReview = (found) => {
    for (const block of blocks) {
      const its = found.filter((problem) => blockOf(problem) === block);
      block.classList.toggle("bai-wrong", its.length > 0);
      block.querySelector(".bai-reason").replaceChildren(
        ...its.map((problem) => item(`${problem.label}: ${problem.reason}`)),
      );
      const lines = facts[block.dataset.baiReview]();
      block.querySelector(".bai-facts").replaceChildren(...lines.map(line));
    }
    reveal.parentElement.hidden = !variables().some((variable) => variable.value);
  };

  // ---- what is shown
  const drawSteps = (found) => {
    for (const link of steps.querySelectorAll("a")) {
      const page = target(link);
      const bad = visited.has(page) && found.some((problem) => pageOf(problem.field) === page);
      link.classList.toggle("bai-wrong", bad);
      link.classList.toggle("bai-visited", visited.has(page) && page !== review);
      link.querySelector(".visually-hidden").hidden = !bad;
      if (page === current) link.setAttribute("aria-current", "step");
      else link.removeAttribute("aria-current");
    }
  };
  const drawButtons = () => {
    const last = current === review;
    backButton.hidden = current === pages[0];
    nextButton.hidden = last;
    nextButton.type = last ? "button" : "submit";  // else Enter on the last page would press it
    launchLabel = last ? "LAUNCH" : "CONFIRM AND LAUNCH";
    launchButton.classList.toggle("btn-primary", last);
    launchButton.classList.toggle("btn-lg", last);
    launchButton.classList.toggle("btn-outline-contrast", !last);
    if (!launchButton.disabled) launchButton.textContent = launchLabel;
    unvisited.hidden = last;
    unvisited.textContent = visited.size < pages.length
      ? "CONFIRM AND LAUNCH launches at once: pages not visited have their defaults."
      : "CONFIRM AND LAUNCH launches at once, with what all pages hold.";
  };
  const refresh = () => {
    const found = problems();
    for (const control of marked) {
      if (wrong(control)) byId(`${control.id}:problem`).textContent = reason(control);
      else unmark(control);
    }
    drawSteps(found);
    if (current === review) drawReview(found);
  };
  const show = (page) => {
    current = page;
    visited.add(page);
    blocked.hidden = true;
    for (const other of pages) other.hidden = other !== page;
    drawButtons();
    refresh();
  };
  const focusOn = (element) => {
    const whole = element === current;
    element.focus({ preventScroll: whole });
    if (whole) steps.scrollIntoView({ block: "nearest" });
  };

  // ---- turning pages
  const go = (page, element = page) => {
    if (page !== current) {
      history.pushState({ baiPage: page.id, baiFrom: current.id }, "");
      show(page);
    }
    focusOn(element);
    return true;
  };
  const forward = () => {
    const page = pages[pages.indexOf(current) + 1];
    return page ? go(page) : false;
  };
  // where the browser's own Back leads to the same page, it is that: no entry is added
  const backward = () => {
    const page = pages[pages.indexOf(current) - 1];
    if (!page) return false;
    if (!history.state || history.state.baiFrom !== page.id) return go(page);
    history.back();
    return true;
  };
  const remembered = (state) => pages.find((page) => state && page.id === state.baiPage);

  // the first of what blocks the launch is shown; whether there was one
  const stopped = () => {
    const found = problems().filter((problem) => problem.lasting);
    if (!found.length) return false;
    found.forEach(mark);
    const [first] = found;
    const more = found.length > 1 ? ` (and ${found.length - 1} more)` : "";
    go(pageOf(first.field), first.field);
    drawSteps(found);
    blocked.hidden = false;
    blocked.textContent = `Not launched. ${first.label}: ${first.reason}${more}`;
    return true;
  };

  // ---- keys
  const typed = "textarea, select, input:not([type=radio], [type=checkbox])";
  const mayTurn = ({ target: at, altKey }) => {
    if (altKey) return !at.closest(typed);
    return at === document.body || (form.contains(at) && !at.closest("input, select, textarea"));
  };
  const onKey = (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.shiftKey) return;
    const turn = { ArrowLeft: backward, ArrowRight: forward }[event.key];
    if (turn && mayTurn(event) && turn()) event.preventDefault();
    // no field, button or link has the focus; in a field Enter presses Next by itself
    const at = event.target;
    const free = at === document.body || (form.contains(at) && at.tabIndex === -1);
    if (event.key === "Enter" && !event.altKey && !event.repeat && free) {
      event.preventDefault();
      if (!forward()) form.requestSubmit(launchButton);
    }
  };

  form.addEventListener("submit", (event) => {
    const turned = event.submitter === nextButton && forward();
    if (turned || stopped()) event.preventDefault();
    else sending(true);
  });
  form.addEventListener("input", (event) => {
    settle(event.target);
    blocked.hidden = true;
    refresh();
  });
  // the server takes the blanks around a name away; the pattern does not
  field("session_name").addEventListener("change", ({ target: name }) => {
    name.value = name.value.trim();
    refresh();
  });
  form.addEventListener("click", (event) => {
    const link = event.target.closest('a[href^="#"]');
    if (!link) return;
    event.preventDefault();
    go(pageOf(target(link)), target(link));
  });
  backButton.addEventListener("click", backward);
  document.addEventListener("keydown", onKey);
  window.addEventListener("popstate", (event) => {
    const page = remembered(event.state);
    if (!page) return;
    show(page);
    focusOn(page);
  });
  window.addEventListener("pageshow", refresh);  // a browser may have put back what was typed

  // ---- begin: where the history was, else at the first problem of a refusal
  const begin = () => {
    steps.hidden = false;
    const refused = summary && "baiProblems" in summary.dataset;
    const known = remembered(history.state);
    const [first] = problems().filter((problem) => told.includes(problem));
    const bad = refused && (first ? pageOf(first.field) : review);
    show(known || bad || pages[0]);
    history.replaceState({ ...history.state, baiPage: current.id }, "");
    if (refused && !known) focusOn(first ? first.field : summary);
  };
  begin();
})();
