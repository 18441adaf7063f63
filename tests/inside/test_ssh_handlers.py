"""How a user gets in by SSH: told, and the key handed over, to whom the server lets in."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from bai_spawner.server_extension.ssh.server import SshServer
from tests.inside.conftest import Serve, Served

pytestmark = pytest.mark.skipif(not shutil.which("ssh-keygen"), reason="ssh-keygen is not here")
PATHS = ("bai/api/ssh", "bai/api/ssh/key")


@pytest.fixture(autouse=True)
def at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys in the test's own folders; a program that does nothing instead of sshd."""
    defaults = {
        "home": tmp_path / "work",
        "run": tmp_path / "ssh",
        "command": ("sh", "-c", "exec sleep 60"),
    }
    monkeypatch.setattr(SshServer.__init__, "__kwdefaults__", defaults)
    monkeypatch.delenv("BAI_SSH_PORT", raising=False)


async def ready(served: Served) -> dict[str, object]:
    for _ in range(100):
        found: dict[str, object] = (await served.allowed.get(PATHS[0])).json()
        if found["running"]:
            break
    return found


async def test_it_says_where_and_which_host_key_to_expect(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BAI_SSH_PORT", "31007")
    monkeypatch.setenv("BAI_SSH_HOST", "gpu.example.org")
    found = await ready(await serve("ssh"))
    assert (found["user"], found["host"], found["port"]) == ("work", "gpu.example.org", 31007)
    assert str(found["fingerprint"]).startswith("SHA256:")
    assert str(found["host_key"]).startswith("ssh-ed25519 AAAA")


async def test_without_a_published_port_there_is_none(serve: Serve) -> None:
    found = await ready(await serve("ssh"))
    assert (found["host"], found["port"]) == ("", None)


async def test_the_key_is_a_file_that_is_kept_nowhere_on_the_way(
    serve: Serve, tmp_path: Path
) -> None:
    served = await serve("ssh")
    await ready(served)
    answer = await served.allowed.get(PATHS[1])
    assert answer.content == (tmp_path / "work/id_container").read_bytes()
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="id_container"'
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def test_what_is_put_in_the_keys_place_is_not_handed_over(
    serve: Serve, tmp_path: Path
) -> None:
    served = await serve("ssh")
    await ready(served)
    place = tmp_path / "work/id_container"
    place.unlink()
    place.symlink_to("/etc/passwd")
    assert b"PRIVATE KEY" in (await served.allowed.get(PATHS[1])).content


async def test_without_a_key_it_says_so(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "ssh").write_text("no folder")
    served = await serve("ssh")
    answer = await served.allowed.get(PATHS[1])
    assert answer.status_code == 404
    assert "log says why" in answer.json()["message"]


@pytest.mark.parametrize("path", PATHS)
async def test_nobody_else_is_told(serve: Serve, path: str) -> None:
    served = await serve("ssh")
    assert (await served.stranger.get(path)).status_code == 403
    assert (await served.allowed.get(path, params={"file": "/etc/passwd"})).status_code == 400
    served.forbidden()
    assert (await served.allowed.get(path)).status_code == 403
