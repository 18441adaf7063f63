// A choice that outlives the page, where the browser keeps any; elsewhere it is never there.

export const remembered = (key) => ({
  read: () => {
    try {
      return window.localStorage.getItem(key) || "";
    } catch {
      return "";
    }
  },
  write: (value) => {
    try {
      window.localStorage.setItem(key, value);
    } catch {
      // it holds as long as the page, then
    }
  },
});
