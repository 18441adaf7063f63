/** How much time the session has, as it was told last. */

import { type ISignal, Signal } from '@lumino/signaling';

import type { Limit, Limits, Time } from './api';
import { span } from './units';

const MINUTE = 60;

export class TimeLeft {
  /** Null: no limit applies, or nothing is known yet. */
  time: Time | null = null;
  /** Why that is not newer; empty: it is new. */
  problem = '';

  /** Whether the hub has heard of the session's use, and said what applies to it. */
  private heard = false;
  private readonly signal = new Signal<this, void>(this);
  /** By how many milliseconds the clock here is ahead of the session's. */
  private ahead = 0;

  /** @param extend asks for more time, and tells its user what came of it. */
  constructor(readonly extend: (what: Limit) => Promise<void>) {}

  get changed(): ISignal<this, void> {
    return this.signal;
  }

  /** Whether nobody can tell: only the end of a lifetime stands whatever happens meanwhile. */
  get unknown(): boolean {
    return this.problem !== '' && (this.time ? this.time.why !== 'lifetime' : !this.heard);
  }

  see({ time, reported, problem, now }: Limits): void {
    this.heard = reported !== null;
    this.ahead = Date.now() - Date.parse(now);
    this.become(time, problem);
  }

  /** It is this from now on; `problem` says why it is not newer. */
  become(time: Time | null, problem = ''): void {
    this.time = time;
    this.problem = problem;
    this.signal.emit();
  }

  /** How long it is until then, in minutes: `9 min`. */
  until(then: string): string {
    const seconds = this.seconds(then);
    return seconds < MINUTE ? 'less than a minute' : span(seconds - (seconds % MINUTE));
  }

  /** Whether that was to be by now. */
  isOver(then: string): boolean {
    return this.seconds(then) <= 0;
  }

  private seconds(then: string): number {
    return (Date.parse(then) - Date.now() + this.ahead) / 1000;
  }
}
