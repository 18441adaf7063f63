/** Words of a POSIX shell's command line. */

/** The text as one word of a command line, whatever it holds. */
export function word(text: string): string {
  return /^[\w@%+=:,./~-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

/** The words as one line; those that are given as they are must be safe. */
export function line(...words: string[]): string {
  return words.map(word).join(' ');
}
