/** What a user types, or puts into a file, to reach a session by SSH. */

import type { Ssh } from './api';
import { line, word } from './shell';

export const KEY_FILE = 'id_container';

export interface SshLines {
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
 * @param name the session's name, which becomes a host's name in the configuration.
 * @param here the host name of this page, with the brackets of an IPv6 address or without.
 */
export function sshLines(ssh: Ssh & { port: number }, name: string, here: string): SshLines {
  const host = (ssh.host || here).replace(/^\[|\]$/g, '');
  const port = String(ssh.port);
  // scp takes the colons of an IPv6 address for the one before a path
  const target = `${ssh.user}@${host.includes(':') ? `[${host}]` : host}`;
  // an alias, in the user's own configuration: never what could be an option
  const alias = name.replace(/[^A-Za-z0-9]/g, '') || 'session';
  return {
    ssh: line('ssh', '-i', KEY_FILE, '-p', port, `${ssh.user}@${host}`),
    sftp: line('sftp', '-i', KEY_FILE, '-P', port, target),
    upload: line('scp', '-i', KEY_FILE, '-P', port, 'FILE', `${target}:/home/work/`),
    download: line('scp', '-i', KEY_FILE, '-P', port, `${target}:/home/work/FILE`, '.'),
    code: line('code', '--remote', `ssh-remote+${alias}`, '/home/work'),
    config: [
      `Host ${alias}`,
      `    HostName ${word(host)}`,
      `    Port ${port}`,
      `    User ${word(ssh.user)}`,
      `    IdentityFile ~/.ssh/${KEY_FILE}`,
      '    IdentitiesOnly yes'
    ].join('\n'),
    knownHosts: `[${host}]:${port} ${ssh.host_key}`
  };
}
