// The start of one session, or of several that were launched together: what each is doing,
// a Stop that stops the right one, and where to go when all is done.
//
// An event's html_message is trusted, the server escaped it; a message is text.
require(["jhapi"], (JHAPI) => {
  const byId = (id) => document.getElementById(id);
  const page = byId("bai-pending").dataset;
  const panels = [...document.querySelectorAll(".bai-start")];
  const single = panels.length === 1;
  const api = new JHAPI(window.jhdata.base_url);
  const outcomes = new Map(); // by panel: "ready", "failed" or "stopped"
  const UNKNOWN_TRIES = 10;
  const TRY_AGAIN_MS = 1000;

  const counted = (outcome) => [...outcomes.values()].filter((one) => one === outcome).length;
  const settle = (panel, outcome) => {
    outcomes.set(panel, outcome);
    if (single || outcomes.size < panels.length) return;
    if (!counted("failed")) {
      window.location.assign(page.sessionsUrl);
      return;
    }
    byId("bai-heading").textContent = `${counted("ready")} of ${panels.length} sessions started`;
    byId("bai-about").textContent = "What started can be opened here, and in Sessions.";
  };

  const watch = (panel) => {
    const part = (selector) => panel.querySelector(selector);
    const stop = part(".bai-stop") || byId("stop-server-btn");
    const state = part(".bai-state");
    const steps = part(".bai-steps");
    const progress = part(".progress");
    const bar = part(".progress-bar");
    const { server, progressUrl } = panel.dataset;
    let stopping = false;
    let tries = 0;
    progress.hidden = false;
    stop.hidden = false;

    const tell = (kind, text) => {
      state.className = `alert alert-${kind} bai-state`;
      state.textContent = text;
      state.hidden = false;
    };
    const icon = (step, classes) => {
      step.querySelector("i").className = `fa-fw ${classes}`;
    };
    const write = (element, event) => {
      if (event.html_message) element.innerHTML = event.html_message;
      else element.textContent = event.message || "";
    };
    const addStep = (event) => {
      const last = steps.lastElementChild;
      const text = document.createElement("span");
      write(text, event);
      if (last && last.querySelector("span").innerHTML === text.innerHTML) return;
      if (last) icon(last, "fa-solid fa-check");
      const step = document.createElement("li");
      const mark = document.createElement("i");
      mark.setAttribute("aria-hidden", "true");
      step.append(mark, text);
      steps.append(step);
      icon(step, "fa-solid fa-spinner fa-pulse");
    };
    const fail = (event) => {
      const last = steps.lastElementChild;
      if (last) icon(last, "fa-solid fa-xmark");
      bar.classList.add("bg-danger");
      part(".bai-failure").hidden = false;
      write(part(".bai-failure"), event);
      stop.hidden = true;
      if (single) {
        byId("bai-heading").textContent = "The session did not start";
        byId("bai-about").hidden = true;
        byId("bai-again").hidden = false;
      }
      settle(panel, "failed");
    };
    const ready = () => {
      if (single) return window.location.reload(); // the hub leads on to the running session
      if (steps.lastElementChild) icon(steps.lastElementChild, "fa-solid fa-check");
      bar.classList.add("bg-success");
      stop.hidden = true;
      part(".bai-open").hidden = false;
      return settle(panel, "ready");
    };
    const show = (event) => {
      if (event.progress !== undefined) {
        progress.setAttribute("aria-valuenow", event.progress);
        bar.style.width = `${event.progress}%`;
      }
      if (stopping) return;
      if (event.ready) ready();
      else if (event.failed) fail(event);
      else if (event.html_message || event.message) addStep(event);
    };
    const gone = "It is not there: it has ended, or the hub did not start it. "
      + "Sessions lists what runs, and says why others ended.";

    const follow = () => {
      const source = new EventSource(progressUrl);
      // after a broken connection the hub tells every step again
      source.onopen = () => steps.replaceChildren();
      source.onmessage = (message) => {
        const event = JSON.parse(message.data);
        if (event.ready || event.failed) source.close();
        show(event);
      };
      source.onerror = () => {
        // closed for good: it is not starting any more, or not yet
        if (source.readyState !== EventSource.CLOSED || stopping) return;
        if (single) {
          setTimeout(() => window.location.reload(), 2000); // the page will say why
        } else if ((tries += 1) < UNKNOWN_TRIES) {
          setTimeout(follow, TRY_AGAIN_MS);
        } else {
          fail({ message: gone });
        }
      };
    };
    follow();

    const stopped = () => {
      tell("success", "Stopped.");
      if (single) window.location.assign(page.sessionsUrl);
      else {
        stop.hidden = true;
        settle(panel, "stopped");
      }
    };
    const notStopped = (xhr) => {
      if (xhr.status === 404) return stopped(); // it ended by itself
      stopping = false;
      stop.disabled = false;
      const why = (xhr.responseJSON && xhr.responseJSON.message) || xhr.statusText || "no answer";
      return tell("danger", `It could not be stopped: ${why}. Try again, or terminate it in Sessions.`);
    };
    stop.addEventListener("click", () => {
      stopping = true;
      stop.disabled = true;
      tell("info", "Stopping…");
      const answer = { success: stopped, error: notStopped };
      if (server) api.stop_named_server(page.user, server, answer);
      else api.stop_server(page.user, answer);
    });
  };
  panels.forEach(watch);

  // signal that page has finished loading (mostly for tests)
  window._jupyterhub_page_loaded = true;
});
