/** The apps of the session's image: cards in the launcher, and directories opened in them. */

import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ICommandPalette, showErrorMessage } from '@jupyterlab/apputils';
import { IFileBrowserFactory } from '@jupyterlab/filebrowser';
import { ILauncher } from '@jupyterlab/launcher';
import type { LabIcon } from '@jupyterlab/ui-components';
import type { ReadonlyPartialJSONObject } from '@lumino/coreutils';

import { type App, type SessionApi, words } from './api';
import { appIcon, imageIcon } from './icons';
import { tab } from './tab';
import { CATEGORY, Command, ISessionApi } from './tokens';

/** These have cards of their own, or are where the user is. */
const SHOWN_ELSEWHERE = new Set(['terminal', 'lab']);

/** After kernels, where an app is shown beside them. */
const APPS_RANK = 100;

/** In the file browser, what is a directory. */
const DIRECTORY = '.jp-DirListing-item[data-isdir="true"]';

function open(api: SessionApi, app: App): void {
  const address = api.address(app.url);
  tab().location.replace(address);
}

/** Start an app in a directory, then open it there. */
async function openIn(api: SessionApi, app: App, directory: string): Promise<void> {
  const opened = tab();
  try {
    const started = await api.startIn(app.name, directory);
    const address = new URL(api.address(started.url));
    address.searchParams.set('directory', started.directory);
    opened.location.replace(address);
  } catch (error) {
    opened.close();
    throw error;
  }
}

function activate(
  app: JupyterFrontEnd,
  api: SessionApi,
  palette: ICommandPalette | null,
  launcher: ILauncher | null,
  files: IFileBrowserFactory | null
): void {
  const { commands, contextMenu, serviceManager } = app;
  const apps = new Map<string, App>();
  const icons = new Map<string, LabIcon>();
  const named = (args: ReadonlyPartialJSONObject) => apps.get(String(args['name']));

  /** What is chosen in the file browser, when it is one thing; below the work directory. */
  const chosen = (): string | null => {
    const items = [...(files?.tracker.currentWidget?.selectedItems() ?? [])];
    return items.length === 1 && items[0]!.type === 'directory'
      ? serviceManager.contents.localPath(items[0]!.path)
      : null;
  };

  const tell = async (title: string, what: () => void | Promise<void>): Promise<void> => {
    try {
      await what();
    } catch (error) {
      await showErrorMessage(`${title} was not opened`, words(error));
    }
  };

  commands.addCommand(Command.app, {
    label: args => (args['isPalette'] ? `Open ${named(args)?.title}` : (named(args)?.title ?? '')),
    caption: args => `Open ${named(args)?.title ?? ''} in a new tab of the browser`,
    icon: args => icons.get(String(args['name'])) ?? appIcon,
    isVisible: args => !!named(args),
    execute: args => {
      const found = named(args);
      return found && tell(found.title, () => open(api, found));
    }
  });
  commands.addCommand(Command.appHere, {
    label: args => `Open in ${named(args)?.title ?? ''}`,
    icon: args => icons.get(String(args['name'])) ?? appIcon,
    isVisible: args => !!named(args) && chosen() !== null,
    execute: args => {
      const [found, directory] = [named(args), chosen()];
      return found && directory !== null
        ? tell(found.title, () => openIn(api, found, directory))
        : undefined;
    }
  });

  const add = (one: App, rank: number) => {
    const args = { name: one.name };
    apps.set(one.name, one);
    const icon = one.icon ? api.address(one.icon) : '';
    if (icon) {
      icons.set(one.name, imageIcon(one.name, icon));
    }
    palette?.addItem({
      command: Command.app,
      category: CATEGORY,
      args: { ...args, isPalette: true }
    });
    // beside kernels, Lab shows the address and not the icon
    launcher?.add({
      command: Command.app,
      category: one.category,
      args,
      rank: APPS_RANK + rank,
      ...(icon ? { kernelIconUrl: icon } : {})
    });
    if (one.asks === 'directory' && files) {
      contextMenu.addItem({ command: Command.appHere, args, selector: DIRECTORY, rank: 4 });
    }
  };

  void api.apps().then(
    found => found.filter(one => !SHOWN_ELSEWHERE.has(one.name)).forEach(add),
    error => console.warn(`The apps of this session cannot be listed: ${words(error)}`)
  );
}

const apps: JupyterFrontEndPlugin<void> = {
  id: 'bai-spawner:apps',
  description: "Opens the apps of the session's image.",
  autoStart: true,
  requires: [ISessionApi],
  optional: [ICommandPalette, ILauncher, IFileBrowserFactory],
  activate
};

export default apps;
