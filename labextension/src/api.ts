/**
 * The session's HTTP interface: the one place that knows its addresses and shapes.
 *
 * Sizes are bytes, CPU is cores, times of day are ISO 8601 in UTC. Whatever fails is an
 * `ApiError`, whose message can be shown as it is: what went wrong and what to do.
 */

import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';

import { ISessionApi } from './tokens';

export interface Folder {
  name: string;
  /** Below the file browser's root. */
  path: string;
  writable: boolean;
}

export interface Session {
  name: string;
  user: string;
  environment: string;
  version: string;
  group: string;
  started: string;
  /** Null: not told, as outside a hub. */
  resources: {
    cpu: number | null;
    memory: number | null;
    shm: number | null;
    gpu: { fgpu: string; memory: number | null } | null;
  };
  folders: Folder[];
  /** The hub's base address, with a slash at its end. */
  hub: string;
}

export interface Loss {
  name: string;
  kind: 'file' | 'directory';
  size: number;
  files: number;
  /** False: there is more than could be counted in time. */
  complete: boolean;
}

/** What is deleted when the session ends: first what is seen in the file browser, largest first. */
export interface Losses {
  total: number;
  files: number;
  complete: boolean;
  entries: Loss[];
  /** What more entries come to that are not told one by one. */
  others: { entries: number; size: number; files: number };
}

export interface Rescue {
  state: 'idle' | 'running' | 'done' | 'failed';
  copied: number;
  total: number;
  /** How many were left out, for they are no files; the message names them. */
  skipped: number;
  /** Where the copies are, below the file browser's root. */
  target: string;
  message: string;
}

export interface Amount {
  used: number;
  limit: number;
}

export interface FolderUse {
  name: string;
  used: number | null;
  complete: boolean;
  free: number | null;
  total: number | null;
}

export interface GpuUse {
  name: string;
  uuid: string;
  memory: Amount;
  /**
   * `used` is percent of the time in which the device computed, `limit` percent of its
   * multiprocessors that this session may use.
   */
  sm: { used: number | null; limit: number | null };
  /** Whose use this is: this session's alone, or everybody's on the device. */
  of: 'session' | 'device';
}

export interface Usage {
  at: number;
  interval: number;
  cpu: Amount;
  memory: Amount;
  shm: Amount;
  processes: { used: number; limit: number | null };
  disk: {
    work: { used: number; complete: boolean; at: number | null };
    folders: FolderUse[];
  };
  /** Null: the session was given none; empty: the driver does not answer. */
  gpu: GpuUse[] | null;
  /** Of one length each, the oldest first; `gpu` is memory of all its devices together. */
  history: { at: number[]; cpu: number[]; memory: number[]; gpu: (number | null)[] };
  warning: {
    message: string;
    largest: { pid: number; name: string; memory: number } | null;
  } | null;
  killed: { count: number; message: string };
}

/** What may end a session by itself. */
export type Limit = 'idle' | 'lifetime';

/** How much time a session has; its parts are null where that limit is not set. */
export interface Time {
  /** Null, and `why` with it: nothing ends the session as it is. */
  ends: string | null;
  why: Limit | null;
  /** Whether the end is so near that its user is to be told. */
  warned: boolean;
  /** `since` is when it was last used; null while it works, and while that is not `known`. */
  idle: { since: string | null; timeout: number; known: boolean } | null;
  /** `extend` seconds may be added, `left` more times. */
  lifetime: { ends: string; limit: number; extend: number | null; left: number } | null;
}

export interface Limits {
  /** Null: no limit applies, or nothing is known yet. */
  time: Time | null;
  /** When the hub last heard of the session's use. */
  reported: string | null;
  /** Why that is not newer; empty: it is new. */
  problem: string;
  /** The session's clock, by which the other times are to be read. */
  now: string;
}

export interface Ssh {
  user: string;
  /** Empty: the host of this page's address. */
  host: string;
  /** Null: SSH is not published here. */
  port: number | null;
  fingerprint: string;
  host_key: string;
  running: boolean;
}

export interface App {
  name: string;
  title: string;
  icon: string;
  category: string;
  /** Below the session's address. */
  url: string;
  asks: 'directory' | null;
  state: 'stopped' | 'starting' | 'running' | 'failed';
  message: string;
  directory: string;
}

/** An app that is open on a port of the host. */
export interface Opening {
  id: string;
  app: string;
  url: string;
  public: boolean;
  /** What its user is to know: why it is on another port than asked for; or empty. */
  told: string;
  /** Null: until it is closed, or the session ends. */
  expires: string | null;
  /** Networks that it is reached from; empty: all. */
  allowed: string[];
  password: boolean;
  opened: string;
  last_used: string | null;
  bytes_out: number;
}

/** How the session's apps may be opened, and which are. */
export interface Openings {
  /** Whether whoever asks may open any. */
  offered: boolean;
  public: boolean;
  preferred_port: boolean;
  open: Opening[];
}

/** How an app is to be opened; what is left out is as the hub has it. */
export interface Wanted {
  app: string;
  public: boolean;
  port?: number;
  expires?: string;
  allowed?: string[];
  password?: string;
}

/** A request was refused, or got no answer. */
export class ApiError extends Error {
  constructor(
    message: string,
    /** The HTTP status; 0 when there was no answer. */
    readonly status: number
  ) {
    super(message);
  }

  /** Nobody answered, or a proxy did because it found nobody: it may be there again soon. */
  get away(): boolean {
    return this.status === 0 || (this.status >= 502 && this.status <= 504);
  }
}

/** The words for a failure, whatever was thrown. */
export function words(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** What a session answers. */
export class SessionApi {
  constructor(private readonly settings: ServerConnection.ISettings) {}

  session(): Promise<Session> {
    return this.json('GET', 'session');
  }

  losses(): Promise<Losses> {
    return this.json('GET', 'losses');
  }

  /**
   * Begin to copy top-level entries of the work directory into a folder: these, or, with null,
   * all that would be lost.
   */
  rescue(folder: string, names: string[] | null): Promise<{ target: string }> {
    return this.json('POST', 'rescue', names ? { folder, names } : { folder });
  }

  /** How far the copying is. */
  rescued(): Promise<Rescue> {
    return this.json('GET', 'rescue');
  }

  /** Stop copying; what was copied stays. */
  async stopRescue(): Promise<void> {
    await this.send('DELETE', 'rescue');
  }

  /** Ask the hub whether it would end the session; rejected with its words when not. */
  async mayTerminate(): Promise<void> {
    await this.send('GET', 'terminate?check=1');
  }

  /** Have the hub end the session. It answers before that is done. */
  async terminate(): Promise<void> {
    await this.send('POST', 'terminate', { body: '{}' });
  }

  /** What became of it, for as long as the session answers. */
  terminating(): Promise<{ state: 'idle' | 'asked' | 'failed'; message: string }> {
    return this.json('GET', 'terminate');
  }

  usage(): Promise<Usage> {
    return this.json('GET', 'usage');
  }

  /** How much time there is. */
  limits(): Promise<Limits> {
    return this.json('GET', 'limits');
  }

  /** Ask for more of it, of the limit that is in the way; rejected with the reason. */
  async extend(what: Limit): Promise<Time | null> {
    return (await this.json<{ time: Time | null }>('POST', 'limits/extend', { what })).time;
  }

  ssh(): Promise<Ssh> {
    return this.json('GET', 'ssh');
  }

  async apps(): Promise<App[]> {
    return (await this.json<{ apps: App[] }>('GET', 'apps')).apps;
  }

  /** Start an app that asks for a directory. */
  startIn(name: string, directory: string): Promise<App> {
    return this.json('POST', `apps/${encodeURIComponent(name)}`, { directory });
  }

  openings(): Promise<Openings> {
    return this.json('GET', 'openings');
  }

  /** Open an app on a port of the host; rejected with the reason. */
  openOnPort(wanted: Wanted): Promise<Opening> {
    return this.json('POST', 'openings', wanted);
  }

  /** Close it, and cut what goes through it. */
  async close(opening: Opening): Promise<void> {
    await this.send('DELETE', `openings/${encodeURIComponent(opening.id)}`);
  }

  /** Where the last `lines` lines of the log are, as plain text. */
  logUrl(lines: number): string {
    return this.address(`bai/api/log?lines=${lines}`);
  }

  /**
   * The log as server-sent events, without end: first the last `lines` lines, or, with the
   * `mark` of an event of before, what was written since.
   *
   * It is no `EventSource`, because that sends no XSRF token, and a hub refuses it.
   */
  async log(lines: number, mark: string, signal: AbortSignal): Promise<Response> {
    const headers = mark ? { 'Last-Event-ID': mark } : {};
    return this.send('GET', `log?lines=${lines}&follow=1`, { headers, signal });
  }

  get keyUrl(): string {
    return this.address('bai/api/ssh/key');
  }

  get logPage(): string {
    return this.address('bai/log');
  }

  get terminalPage(): string {
    return this.address('terminal/');
  }

  /**
   * The full address of something that is named below the session's.
   *
   * Throws an `ApiError` when it is on another server: what is opened here is this
   * session's, whatever an image says.
   */
  address(relative: string): string {
    const base = new URL(this.settings.baseUrl, window.location.href);
    const found = new URL(relative, base);
    if (found.origin !== base.origin) {
      throw new ApiError(`${relative} is not an address of this session.`, 0);
    }
    return found.href;
  }

  private async json<T>(method: string, path: string, body?: object): Promise<T> {
    const response = await this.send(method, path, body ? { body: JSON.stringify(body) } : {});
    return (await response.json()) as T;
  }

  private async send(method: string, path: string, more: RequestInit = {}): Promise<Response> {
    // with its own way of asking for what is new, Lab would add an option to the address
    const init: RequestInit = { method, cache: 'no-cache', ...more };
    const url = URLExt.join(this.settings.baseUrl, 'bai/api', path);
    let response: Response;
    try {
      response = await ServerConnection.makeRequest(url, init, this.settings);
    } catch {
      throw new ApiError(
        'The session does not answer. Check the network; whether it still runs is on the ' +
          "hub's home page.",
        0
      );
    }
    if (!response.ok) {
      throw new ApiError(await said(response), response.status);
    }
    return response;
  }
}

/** The server's words for a refusal, and what to do where it does not say. */
async function said(response: Response): Promise<string> {
  if (response.status === 403) {
    return 'The session no longer lets this page in. Load the page again to log in.';
  }
  try {
    const { message } = (await response.json()) as { message?: unknown };
    if (typeof message === 'string' && message) {
      return message;
    }
  } catch {
    // a proxy between here and the session has words of its own: the status is enough
  }
  return response.status === 404
    ? 'This session does not offer this: its image was made without it.'
    : `The session answered ${response.status} ${response.statusText}. Try again; the ` +
        "session's log may say why.";
}

const api: JupyterFrontEndPlugin<SessionApi> = {
  id: 'bai-spawner:api',
  description: "Asks the session's own HTTP interface.",
  autoStart: true,
  provides: ISessionApi,
  activate: (app: JupyterFrontEnd) => new SessionApi(app.serviceManager.serverSettings)
};

export default api;
