/** Which of the session's apps are open on ports of the host, as it was told last. */

import { type ISignal, Signal } from '@lumino/signaling';

import { type App, type Opening, type Openings, type SessionApi, type Wanted, words } from './api';

/** Pages of the session itself: whoever has one has all of it. */
const NEVER = new Set(['lab', 'notebook', 'terminal']);

export class OpeningsState {
  /** Null: nothing is known yet. */
  told: Openings | null = null;
  /** Why that is not newer; empty: it is new. */
  problem = '';
  /** What can be opened. */
  apps: App[] = [];

  private readonly signal = new Signal<this, void>(this);

  constructor(private readonly api: SessionApi) {}

  get changed(): ISignal<this, void> {
    return this.signal;
  }

  get open(): Opening[] {
    return this.told?.open ?? [];
  }

  /** Whether anything may be opened here. */
  get isOffered(): boolean {
    const { told } = this;
    return !!told?.offered && (told.public || told.preferred_port) && this.apps.length > 0;
  }

  /** How an app is called, by its name. */
  title(app: string): string {
    return this.apps.find(one => one.name === app)?.title ?? app;
  }

  /** Ask again; of the apps, too, to know which of them run. */
  async load(ofApps = false): Promise<void> {
    try {
      this.told = await this.api.openings();
      if (this.told.offered && (ofApps || !this.apps.length)) {
        this.apps = (await this.api.apps()).filter(one => !NEVER.has(one.name));
      }
      this.problem = '';
    } catch (error) {
      this.problem = words(error);
    }
    this.signal.emit();
  }

  /** Open an app; rejected with the reason. */
  async start(wanted: Wanted): Promise<Opening> {
    try {
      return await this.api.openOnPort(wanted);
    } finally {
      // what takes too long to be answered may be open all the same
      await this.load();
    }
  }

  /** Close one; rejected with the reason. */
  async close(opening: Opening): Promise<void> {
    try {
      await this.api.close(opening);
    } finally {
      await this.load();
    }
  }
}
