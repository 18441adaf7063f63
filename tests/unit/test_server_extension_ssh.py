"""A session's own keys, and an sshd that is started again when it dies."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from bai_spawner import server_extension
from bai_spawner.server_extension import login_shell as shell
from bai_spawner.server_extension.ssh import server as ssh
from bai_spawner.server_extension.ssh.server import SshServer

pytestmark = pytest.mark.skipif(not shutil.which("ssh-keygen"), reason="ssh-keygen is not here")


@pytest.fixture
def server(tmp_path: Path) -> SshServer:
    (tmp_path / "home").mkdir()
    return SshServer(logging.getLogger("ssh"), home=tmp_path / "home", run=tmp_path / "run")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_keys_are_private_and_no_public_half_is_left_lying_about(
    server: SshServer, tmp_path: Path
) -> None:
    server.prepare()
    home, run = tmp_path / "home", tmp_path / "run"
    assert sorted(p.name for p in home.iterdir()) == [".ssh", "id_container"]
    assert mode(home / "id_container") == 0o600
    assert (mode(home / ".ssh"), mode(home / ".ssh/authorized_keys")) == (0o700, 0o600)
    assert mode(run) == 0o700
    assert mode(run / "host_key") == 0o600


@pytest.mark.parametrize("before", ["ssh-ed25519 mine\n", "ssh-ed25519 mine", ""])
def test_a_key_is_added_and_those_that_are_there_stay(
    server: SshServer, tmp_path: Path, before: str
) -> None:
    folder = tmp_path / "home/.ssh"
    folder.mkdir()
    (folder / "authorized_keys").write_text(before)
    server.prepare()
    lines = (folder / "authorized_keys").read_text().splitlines()
    assert lines[:-1] == before.splitlines()
    assert lines[-1].startswith("ssh-ed25519 ")
    assert lines[-1].endswith(" id_container")


def test_logins_have_what_the_server_has_but_its_tokens(
    server: SshServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", "secret")
    monkeypatch.setenv("CUDA_MPS_PIPE_DIRECTORY", "/run/mps")
    server.prepare()
    kept = tmp_path / "run/environment.json"
    assert mode(kept) == 0o600
    assert shell.kept(kept)["CUDA_MPS_PIPE_DIRECTORY"] == "/run/mps"
    assert "secret" not in kept.read_text()


@pytest.mark.parametrize("content", ["", "{", "[]"])
def test_a_login_does_without_an_environment_that_cannot_be_read(
    tmp_path: Path, content: str
) -> None:
    path = tmp_path / "environment.json"
    assert shell.kept(path) == {}
    path.write_text(content)
    assert shell.kept(path) == {}


def test_a_fingerprint_is_what_openssh_shows(server: SshServer, tmp_path: Path) -> None:
    server.prepare()
    public = tmp_path / "host.pub"
    public.write_text(server.host_key + "\n")
    told = subprocess.run(["ssh-keygen", "-lf", public], check=True, capture_output=True, text=True)
    assert server.fingerprint in told.stdout.split()


def test_each_session_has_keys_of_its_own(server: SshServer, tmp_path: Path) -> None:
    server.prepare()
    first = (tmp_path / "home/id_container").read_text()
    server.prepare()
    assert (tmp_path / "home/id_container").read_text() != first


async def run_for(server: SshServer, seconds: float) -> None:
    task = asyncio.create_task(server.serve())
    await asyncio.sleep(seconds)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def test_one_that_dies_is_started_again_less_and_less_often(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssh, "FIRST_PAUSE", 0.1)
    (tmp_path / "home").mkdir()
    script = 'echo x >>"$0"; exit 3'
    starts = tmp_path / "starts"
    server = SshServer(
        logging.getLogger("ssh"),
        home=tmp_path / "home",
        run=tmp_path / "run",
        command=("sh", "-c", script, str(starts)),
    )
    await run_for(server, 1.2)
    assert 2 <= len(starts.read_text().splitlines()) <= 4
    assert "sshd ended (exit code 3); it is started again in 0.1 s" in caplog.text
    assert "it is started again in 0.2 s" in caplog.text


async def test_without_sshd_the_log_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "home").mkdir()
    server = SshServer(
        logging.getLogger("ssh"),
        home=tmp_path / "home",
        run=tmp_path / "run",
        command=(str(tmp_path / "no-such-program"),),
    )
    await run_for(server, 0.3)
    assert "sshd cannot be started" in caplog.text


async def test_without_a_place_for_keys_the_session_goes_on_without_ssh(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    server = SshServer(logging.getLogger("ssh"), home=tmp_path / "home", run=tmp_path / "file/run")
    await asyncio.wait_for(server.serve(), 5)
    assert "There is no SSH in this session" in caplog.text


def test_jupyter_server_finds_the_extension() -> None:
    (point,) = server_extension._jupyter_server_extension_points()
    assert point["app"].name == "bai"
