"""SSH and SFTP from outside: by the published port, with this session's key, and no other way."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.deployment import Deployment, Visitor, eventually
from tests.session import Session


class Client:
    """OpenSSH's clients with what the session's API says, and nothing of this machine's own."""

    def __init__(self, session: Session, folder: Path) -> None:
        folder.mkdir()
        self.session = session
        self.told: dict[str, Any] = session.http.get("/bai/api/ssh").json()
        self.key = folder / "id_container"
        self.key.write_bytes(session.http.get("/bai/api/ssh/key").content)
        self.key.chmod(0o600)
        self.known = folder / "known_hosts"
        self.known.write_text(f"[127.0.0.1]:{self.told['port']} {self.told['host_key']}\n")

    def options(self, **more: str) -> list[str]:
        chosen = {
            "BatchMode": "yes",
            "IdentitiesOnly": "yes",
            "IdentityFile": str(self.key),
            "IdentityAgent": "none",
            "StrictHostKeyChecking": "yes",
            "UserKnownHostsFile": str(self.known),
            "GlobalKnownHostsFile": "/dev/null",
            **more,
        }
        return ["-F", "none", *(f"-o{name}={value}" for name, value in chosen.items())]

    def ssh(self, *command: str, **more: str) -> subprocess.CompletedProcess[str]:
        user = more.pop("User", "work")
        asked = ["ssh", "-p", str(self.told["port"]), *self.options(**more)]
        return run([*asked, f"{user}@127.0.0.1", *command])

    def sftp(self, batch: str) -> subprocess.CompletedProcess[str]:
        asked = ["sftp", "-b", "-", "-P", str(self.told["port"]), *self.options()]
        return run([*asked, "work@127.0.0.1"], input_=batch)


def run(command: list[str], input_: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, input=input_, capture_output=True, text=True, timeout=30, check=False
    )


@pytest.fixture(scope="module")
def user(deployment: Deployment) -> Iterator[Visitor]:
    with deployment.login("remote") as visitor:
        yield visitor
        visitor.stop_all()


@pytest.fixture(scope="module")
def session(deployment: Deployment, user: Visitor) -> Iterator[Session]:
    answer = user.start("one", {"env": {"GREETING": "hello {0} $HOME", "PATH": "/mine:/usr/bin"}})
    assert answer.status_code == 201, answer.text
    made = Session(deployment, user, "one")
    assert eventually(lambda: made.http.get("/bai/api/ssh").json()["running"])
    yield made
    made.http.close()


@pytest.fixture(scope="module")
def client(session: Session, tmp_path_factory: pytest.TempPathFactory) -> Client:
    made = Client(session, tmp_path_factory.mktemp("ssh") / "one")
    assert eventually(lambda: made.ssh("true").returncode == 0, seconds=20), made.ssh("true")
    return made


def test_ssh_works_with_the_key_and_the_host_key_that_lab_shows(client: Client) -> None:
    found = client.ssh("id -un; pwd; tty; echo $SHELL").stdout.split("\n")
    assert found[:4] == ["work", "/home/work", "not a tty", "/bin/bash"]


def test_a_login_has_what_a_terminal_has_and_no_token(client: Client) -> None:
    found = client.ssh("env").stdout.splitlines()
    assert "GREETING=hello {0} $HOME" in found
    assert "PATH=/mine:/usr/bin" in found
    assert any(line.startswith("MEM_LIMIT=") for line in found)
    assert "NVIDIA_VISIBLE_DEVICES=void" in found
    assert not any(line.startswith(("JUPYTERHUB_", "JPY_")) for line in found)


def test_sftp_brings_files_and_takes_them(client: Client, tmp_path: Path) -> None:
    (tmp_path / "there.txt").write_text("from outside")
    done = client.sftp(f"put {tmp_path}/there.txt\nget there.txt {tmp_path}/back.txt\n")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "back.txt").read_text() == "from outside"
    assert client.session.run("cat", "/home/work/there.txt") == "from outside"


def test_there_is_no_way_in_but_the_key(client: Client) -> None:
    """Passwords, root, and what a client might hand over."""
    without = client.ssh("true", IdentityFile="/dev/null", PreferredAuthentications="none")
    assert "Permission denied (publickey)." in without.stderr, "nothing else is on offer"
    root = client.ssh("true", User="root")
    assert "Permission denied (publickey)" in root.stderr
    assert client.ssh("echo ${SSH_AUTH_SOCK:-none}", ForwardAgent="yes").stdout == "none\n"
    assert client.ssh("echo ${DISPLAY:-none}", ForwardX11="yes").stdout == "none\n"
    assert client.ssh("echo ${LD_PRELOAD:-none}", SetEnv="LD_PRELOAD=/x").stdout == "none\n"


def test_who_tries_wrong_keys_does_not_shut_out_who_has_the_right_one(
    client: Client, tmp_path: Path
) -> None:
    """Behind the engine, all of them come from one address."""
    wrong = tmp_path / "wrong"
    assert run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(wrong)]).returncode == 0
    for _ in range(6):
        assert "Permission denied" in client.ssh("true", IdentityFile=str(wrong)).stderr
    assert client.ssh("true").returncode == 0


def test_keys_are_private(client: Client) -> None:
    listed = client.session.run(
        "stat", "-c", "%a %U %n", "id_container", ".ssh", ".ssh/authorized_keys",
        "/run/bai-session/ssh", "/run/bai-session/ssh/host_key",
    )  # fmt: skip
    assert [line.split()[:2] for line in listed.splitlines()] == [
        ["600", "work"], ["700", "work"], ["600", "work"], ["700", "work"], ["600", "work"],
    ]  # fmt: skip


def test_sshd_comes_back_on_the_same_port_with_the_same_keys(client: Client) -> None:
    (first,) = client.session.processes("sshd: /usr/sbin/sshd")
    client.session.run("kill", "-9", first)
    assert eventually(lambda: client.ssh("true").returncode == 0, seconds=20)
    assert client.session.processes("sshd: /usr/sbin/sshd") != [first]


def test_after_a_restart_of_the_hub_a_live_sessions_port_is_not_given_away(
    deployment: Deployment, client: Client
) -> None:
    deployment.stop()
    deployment.start()
    assert client.ssh("true").returncode == 0


def test_a_key_opens_its_own_session_alone_and_ends_with_it(
    deployment: Deployment, client: Client, user: Visitor, tmp_path: Path
) -> None:
    assert user.start("two", {}).status_code == 201
    second = Session(deployment, user, "two")
    assert eventually(lambda: second.http.get("/bai/api/ssh").json()["running"])
    other = Client(second, tmp_path / "two")
    assert eventually(lambda: other.ssh("true").returncode == 0, seconds=20), other.ssh("true")
    assert other.told["port"] != client.told["port"]
    assert other.told["fingerprint"] != client.told["fingerprint"]
    refused = other.ssh("true", IdentityFile=str(client.key))
    assert refused.returncode == 255
    assert "Permission denied (publickey)" in refused.stderr
    user.stop("one")  # which the tests before this one shared
    assert client.ssh("true").returncode == 255, "a dead session's port leads nowhere"
    assert user.start("three", {}).status_code == 201
    third = Session(deployment, user, "three")
    assert eventually(lambda: third.http.get("/bai/api/ssh").json()["running"])
    newer = Client(third, tmp_path / "three")
    assert eventually(lambda: newer.ssh("true").returncode == 0, seconds=20)
    refused = newer.ssh("true", IdentityFile=str(client.key))
    assert "Permission denied (publickey)" in refused.stderr
