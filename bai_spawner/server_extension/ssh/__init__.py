"""SSH and SFTP into the session: its server, and how its user gets in."""

from typing import Any

from bai_spawner.server_extension.part import Part


def part(serverapp: Any) -> Part:
    """The session's sshd, kept running, and what Lab shows of it."""
    from bai_spawner.server_extension.ssh.handlers import KeyHandler, SshHandler  # noqa: PLC0415
    from bai_spawner.server_extension.ssh.server import SshServer  # noqa: PLC0415

    server = SshServer(serverapp.log)
    return Part(
        handlers=(
            (r"bai/api/ssh", SshHandler, {"server": server}),
            (r"bai/api/ssh/key", KeyHandler, {"server": server}),
        ),
        run=server.serve,
    )
