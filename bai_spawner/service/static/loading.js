// Sees that the page's modules come. Where one does not, as when the network changes meanwhile,
// the page is loaded once more, and then says so: a browser does not ask again for a module that
// it could not have. A script of its own, and no module, which nothing else is needed for.
{
  const KEY = "bai-loaded-again";
  const LATELY_MS = 60_000;
  const PAUSE_MS = 500;

  /** Whether this was not tried lately. */
  const mayReload = () => {
    try {
      const before = Number(window.sessionStorage.getItem(KEY));
      window.sessionStorage.setItem(KEY, String(Date.now()));
      return Date.now() - before > LATELY_MS;
    } catch {
      return false;
    }
  };
  const tell = () => {
    const link = document.createElement("a");
    link.href = window.location.href;
    link.className = "alert-link";
    link.append("Load it again");
    const words = document.createElement("p");
    words.className = "alert alert-danger";
    words.setAttribute("role", "alert");
    words.append("A part of this page did not come. ", link);
    document.querySelector("main").prepend(words);
  };
  // these events do not rise, and are seen on their way down
  window.addEventListener("error", ({ target }) => {
    if (!(target instanceof HTMLScriptElement) || target.type !== "module") return;
    if (navigator.onLine && mayReload()) setTimeout(() => window.location.reload(), PAUSE_MS);
    else tell();
  }, true);
}
