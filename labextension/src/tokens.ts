/** What the plugins share: the session's interface as a token, and the names of commands. */

import type { ILauncher } from '@jupyterlab/launcher';
import { Token } from '@lumino/coreutils';

import type { SessionApi } from './api';
import type { TimeLeft } from './time_left';

/** The session's own HTTP interface; the other plugins ask nothing else of the server. */
export const ISessionApi = new Token<SessionApi>(
  'bai-spawner:ISessionApi',
  "The session's own HTTP interface"
);

/** How much time the session has, for whoever shows it. */
export const ITimeLeft = new Token<TimeLeft>(
  'bai-spawner:ITimeLeft',
  'How much time the session has'
);

export const Command = {
  app: 'bai:app',
  appHere: 'bai:app-here',
  log: 'bai:log',
  openings: 'bai:openings',
  session: 'bai:session',
  ssh: 'bai:ssh',
  terminal: 'bai:terminal',
  terminalWindow: 'bai:terminal-window',
  terminate: 'bai:terminate',
  usage: 'bai:usage'
} as const;

/** Where the commands are in the palette, and the cards in the launcher. */
export const CATEGORY = 'Session';

/** A card in the launcher, right after the notebooks. */
export function card(command: string, rank: number): ILauncher.IItemOptions {
  return { command, category: CATEGORY, categoryRank: 10, rank };
}
