"""The session's sshd: open with the session's own key, and with nothing else.

The private key is ``id_container`` in the work directory, where the file browser shows
it; key and host key are made new for each session. sshd runs as the session's user,
so it can be no other. When it dies it is started again, and the session's log says so.

Sources: sshd_config(5); OpenSSH runs unprivileged for one user when PAM is off.
"""

import asyncio
import base64
import contextlib
import hashlib
import os
import subprocess
import time
from logging import Logger
from pathlib import Path

from bai_spawner.server_extension.login_shell import ENVIRONMENT, keep

USER = "work"
"""Whom a session belongs to, in its container."""
PORT = 2222
"""Where sshd listens, in the container."""
SSHD, SSH_KEYGEN = "/usr/sbin/sshd", "/usr/bin/ssh-keygen"
"""By their full paths: the user's ~/.local/bin comes first on the server's PATH."""
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 60.0
"""Seconds before the first and, at most, before a later attempt to start it again."""
STEADY_SECONDS = 30.0
"""After so long it counts as having run."""

CONFIG = """\
Port {port}
HostKey {run}/host_key
PidFile none
UsePAM no
AuthenticationMethods publickey
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin no
AuthorizedKeysFile .ssh/authorized_keys
LoginGraceTime 30
AllowAgentForwarding no
X11Forwarding no
PermitUserEnvironment no
Subsystem sftp internal-sftp
"""


NO_PENALTIES = "PerSourcePenalties no"
"""From OpenSSH 9.8 on, who failed too often is shut out by address. Behind an engine all clients
have one address, so that anybody could shut out the user; and there is nothing to be guessed."""


class SshServer:
    """The session's sshd.

    Args:
        log: the server's log.
        home: the user's home directory.
        run: a directory that nobody else may enter; it is made.
        command: how sshd is started, before its own arguments.
    """

    def __init__(
        self,
        log: Logger,
        *,
        home: Path = Path("/home/work"),
        run: Path = Path("/run/bai-session/ssh"),
        command: tuple[str, ...] = (SSHD,),
    ) -> None:
        self._log, self._home, self._run, self._command = log, home, run, command
        self.running = False
        """Whether it listens, or is about to."""
        self.private_key = b""
        """What opens it; empty when it could not be made."""
        self.host_key = ""
        """Its own public key, one line without a comment, and that key's fingerprint."""
        self.fingerprint = ""

    async def serve(self) -> None:
        """Keep it running until cancelled. Without keys there is none, and the log says so."""
        try:
            await asyncio.to_thread(self.prepare)
        except (OSError, subprocess.CalledProcessError) as error:
            self._log.error("There is no SSH in this session: %s", error)
            return
        pause = FIRST_PAUSE
        while True:
            began = time.monotonic()
            code = await self._once()
            pause = FIRST_PAUSE if time.monotonic() - began > STEADY_SECONDS else pause
            self._log.error("sshd ended (exit code %s); it is started again in %g s", code, pause)
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _once(self) -> int:
        """Run sshd until it ends; with what."""
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command, "-D", "-e", "-f", str(self._run / "sshd_config")
            )
        except OSError as error:
            self._log.error("sshd cannot be started: %s", error)
            return -1
        self.running = True
        try:
            return await process.wait()
        except asyncio.CancelledError:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            await process.wait()
            raise
        finally:
            self.running = False

    def prepare(self) -> None:
        """Make the keys and the configuration.

        The public key is added to ``~/.ssh/authorized_keys``; what is there stays.

        Raises:
            OSError: a file cannot be written.
            subprocess.CalledProcessError: a key cannot be made.
        """
        self._run.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.host_key = " ".join(make_key(self._run / "host_key").split()[:2])
        self.fingerprint = fingerprint(self.host_key)
        private = self._home / "id_container"
        public = make_key(private)
        self.private_key = private.read_bytes()
        folder = self._home / ".ssh"
        folder.mkdir(mode=0o700, exist_ok=True)
        authorized = folder / "authorized_keys"
        known = authorized.read_text() if authorized.exists() else ""
        authorized.touch(mode=0o600)
        with authorized.open("a") as file:
            file.write("\n" if known and not known.endswith("\n") else "")
            file.write(public)
        keep(os.environ, self._run / ENVIRONMENT.name)
        config = CONFIG.format(port=PORT, run=self._run)
        path = self._run / "sshd_config"
        path.write_text(config)
        if _takes(path, NO_PENALTIES):
            path.write_text(f"{config}{NO_PENALTIES}\n")


def make_key(path: Path) -> str:
    """Make a new pair at a path, in place of an older one; the public half, one line.

    Only the private half is left on disk.
    """
    path.unlink(missing_ok=True)
    command = [SSH_KEYGEN, "-q", "-t", "ed25519", "-N", "", "-C", path.name, "-f", str(path)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)  # noqa: S603 - no text of anybody's
    public = path.with_name(f"{path.name}.pub")
    line = public.read_text()
    public.unlink()
    return line


def fingerprint(public: str) -> str:
    """A public key's fingerprint as OpenSSH shows it: SHA-256 in base64, without padding."""
    digest = hashlib.sha256(base64.b64decode(public.split()[1])).digest()
    return f"SHA256:{base64.b64encode(digest).decode().rstrip('=')}"


def _takes(config: Path, option: str) -> bool:
    """Whether this sshd knows an option of its configuration."""
    command = [SSHD, "-t", "-f", str(config), "-o", option]
    try:
        tried = subprocess.run(command, check=False, capture_output=True)  # noqa: S603 - our own
    except OSError:
        return False
    return tried.returncode == 0
