/** What a user types, or puts into a file, to reach a session by SSH. */

import type { Ssh } from './api';
import { line, word } from './shell';

export const KEY_FILE = 'id_container';

export interface SshLines {
  /** Where the key is to be kept for the configuration: sessions have one each. */
  keyPath: string;
  ssh: string;
  sftp: string;
  upload: string;
  download: string;
  code: string;
  config: string;
  knownHosts: string;
}

/**
 * The lines for one session.
 *
 * @param ssh what the session answers; `port` is not null.
 * @param name the session's name, which becomes a host's name in the configuration. The key of
 *     the host is kept under that and a part of its fingerprint: another session, later on the
 *     same port or of the same name, has another key, and is another host.
 * @param here the host name of this page, with the brackets of an IPv6 address or without.
 */
export function sshLines(ssh: Ssh & { port: number }, name: string, here: string): SshLines {
  const host = (ssh.host || here).replace(/^\[|\]$/g, '');
  const port = String(ssh.port);
  // scp takes the colons of an IPv6 address for the one before a path
  const target = `${ssh.user}@${host.includes(':') ? `[${host}]` : host}`;
  // an alias, in the user's own configuration: never what could be an option; ssh and VS Code
  // take hosts for lower case
  const alias =
    name.toLowerCase().replace(/[^a-z0-9-]/g, '').replace(/^-+/, '') || `session-${port}`;
  const print = ssh.fingerprint.replace(/^SHA256:/, '').replace(/[^A-Za-z0-9]/g, '');
  const hostKey = `${alias}-${print.slice(0, 8).toLowerCase()}`;
  const keyPath = `~/.ssh/${alias}`;
  // else the keys of an agent come first, and sshd lets nobody try many
  const options = ['-i', KEY_FILE, '-o', 'IdentitiesOnly=yes', '-o', `HostKeyAlias=${hostKey}`];
  return {
    keyPath,
    ssh: line('ssh', ...options, '-p', port, `${ssh.user}@${host}`),
    sftp: line('sftp', ...options, '-P', port, target),
    upload: line('scp', ...options, '-P', port, 'FILE', `${target}:/home/work/`),
    download: line('scp', ...options, '-P', port, `${target}:/home/work/FILE`, '.'),
    code: line('code', '--remote', `ssh-remote+${alias}`, '/home/work'),
    config: [
      `Host ${alias}`,
      `    HostName ${word(host)}`,
      `    Port ${port}`,
      `    User ${word(ssh.user)}`,
      `    IdentityFile ${keyPath}`,
      '    IdentitiesOnly yes',
      `    HostKeyAlias ${hostKey}`
    ].join('\n'),
    knownHosts: `${hostKey} ${ssh.host_key}`
  };
}
