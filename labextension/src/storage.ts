/** What the browser keeps for this hub's pages; where it refuses to, this page alone knows it. */

/** What could not be kept, as in a private window, or where the browser's room is full. */
const here = new Map<string, string>();

/** What was kept last under this key; null: nothing. */
export function kept(key: string): string | null {
  try {
    return here.get(key) ?? localStorage.getItem(key);
  } catch {
    return null;
  }
}

export function keep(key: string, value: string): void {
  try {
    localStorage.setItem(key, value);
    here.delete(key);
  } catch {
    here.set(key, value);
  }
}
