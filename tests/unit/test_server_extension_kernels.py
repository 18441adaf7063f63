"""What a kernel is started with."""

import os
import sys
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.kernelspec import KernelSpec

from bai_spawner.server_extension import kernels, user_env
from bai_spawner.server_extension.kernels import UserEnvKernelManager, user_python

ARGUMENTS = ["-m", "ipykernel_launcher", "-f", "{connection_file}"]


@pytest.fixture
def variables(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The user's variables, in place of the file in a session."""
    chosen: dict[str, str] = {}
    monkeypatch.setattr(kernels, "user_env_or_none", lambda: (chosen, None))
    return chosen


async def launched(
    tmp_path: Path, argv: list[str], **start: Any
) -> tuple[list[str], dict[str, str]]:
    """Command and environment of a kernel that is about to be launched."""
    spec_env = start.pop("spec_env", {})
    manager = UserEnvKernelManager(connection_file=str(tmp_path / "kernel.json"))
    manager._kernel_spec = KernelSpec(argv=argv, env=spec_env, language="python")
    command, launch = await manager._async_pre_start_kernel(**start)
    await manager._async_cleanup_resources()
    return command, launch["env"]


async def test_a_kernel_has_the_users_variables_over_the_servers(
    variables: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEPT", "server")
    variables |= {"PATH": "/mine", "NAME": "{0} $HOME"}
    _, env = await launched(tmp_path, ["/usr/bin/any", *ARGUMENTS])
    assert (env["PATH"], env["NAME"], env["KEPT"]) == ("/mine", "{0} $HOME", "server")


async def test_what_the_server_gives_for_a_notebook_is_kept(
    variables: dict[str, str], tmp_path: Path
) -> None:
    variables["NAME"] = "user"
    given = {"JPY_SESSION_NAME": "a.ipynb", "NAME": "server"}
    _, env = await launched(tmp_path, ["/usr/bin/any", *ARGUMENTS], env=given)
    assert (env["JPY_SESSION_NAME"], env["NAME"]) == ("a.ipynb", "user")


async def test_a_kernels_own_definition_comes_last(
    variables: dict[str, str], tmp_path: Path
) -> None:
    variables["NAME"] = "user"
    argv = ["/usr/bin/any", *ARGUMENTS]
    _, env = await launched(tmp_path, argv, spec_env={"NAME": "${NAME}, spec"})
    assert env["NAME"] == "user, spec"


async def test_the_servers_own_environment_stays_as_it_is(
    variables: dict[str, str], tmp_path: Path
) -> None:
    before = dict(os.environ)
    variables |= {"PATH": "/mine", "NEW": "x"}
    await launched(tmp_path, ["/usr/bin/any", *ARGUMENTS])
    assert dict(os.environ) == before


@pytest.mark.parametrize("name", ["python", "python3"])
async def test_a_kernel_that_says_python_gets_the_users(
    variables: dict[str, str], tmp_path: Path, name: str
) -> None:
    command, _ = await launched(tmp_path, [name, *ARGUMENTS])
    assert command[0] == user_python()


async def test_a_kernel_that_names_a_program_gets_that_program(
    variables: dict[str, str], tmp_path: Path
) -> None:
    command, _ = await launched(tmp_path, [sys.executable, *ARGUMENTS])
    assert command[0] == sys.executable


async def test_a_damaged_file_is_logged_and_the_kernel_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    damaged = tmp_path / "env.json"
    damaged.write_text("{")
    monkeypatch.setattr(kernels, "user_env_or_none", lambda: user_env.user_env_or_none(damaged))
    command, _ = await launched(tmp_path, ["/usr/bin/any", *ARGUMENTS])
    assert command[0] == "/usr/bin/any"
    assert str(damaged) in caplog.text
