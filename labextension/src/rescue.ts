/** Copying into a folder what the end of the session would delete, watched by its user. */

import { showErrorMessage } from '@jupyterlab/apputils';

import { ApiError, type Rescue, type SessionApi, words } from './api';
import { bytes } from './units';
import { pause, Waiting } from './waiting';

const LOOK_MS = 500;

/**
 * Begin a copy, and watch it; null when it was stopped or failed, which its user knows then.
 *
 * @param names top-level entries of the work directory; null: all that would be lost.
 */
export async function copy(
  api: SessionApi,
  folder: string,
  names: string[] | null
): Promise<Rescue | null> {
  return watched(api, `Copying to the folder ${folder}…`, async () => {
    return (await api.rescue(folder, names)).target;
  });
}

/** Watch the copy that is being made, whoever began it, as `copy` does. */
export async function watch(api: SessionApi, { target }: Rescue): Promise<Rescue | null> {
  return watched(api, `Files are being copied to ${target}…`, async () => target);
}

async function watched(
  api: SessionApi,
  text: string,
  begin: () => Promise<string>
): Promise<Rescue | null> {
  const dialog = new Waiting('Copying before the session ends', text, 'Stop and keep the session');
  try {
    const target = await begin();
    for (;;) {
      if (dialog.stopped) {
        await api.stopRescue();
        return null;
      }
      const now = await look(api, dialog);
      if (now && !dialog.stopped && (now.state !== 'running' || now.target !== target)) {
        return finished(now, target);
      }
      await dialog.for(pause(LOOK_MS));
    }
  } catch (error) {
    const title = dialog.stopped
      ? 'The copying could not be stopped'
      : 'The session goes on: not everything was copied';
    dialog.dispose();
    await showErrorMessage(title, words(error));
    return null;
  } finally {
    dialog.dispose();
  }
}

/** How far it is; null when nobody answers now: the session copies on without being watched. */
async function look(api: SessionApi, dialog: Waiting): Promise<Rescue | null> {
  try {
    const now = await api.rescued();
    dialog.show(now.copied, now.total);
    dialog.say(`${bytes(now.copied)} of ${bytes(now.total)} are in ${now.target}.`);
    return now;
  } catch (error) {
    if (!(error instanceof ApiError) || !error.away) {
      throw error;
    }
    dialog.say('The session does not answer. It copies on; asking again…');
    return null;
  }
}

/** The copy to this target when it is done; throws in words when it is not, or another one is. */
function finished(now: Rescue, target: string): Rescue {
  if (now.state === 'idle') {
    throw new Error('The session was started again meanwhile.');
  }
  if (now.target !== target) {
    throw new Error(`Another copy was begun meanwhile, to ${now.target}.`);
  }
  if (now.state === 'failed') {
    throw new Error(now.message);
  }
  return now;
}
