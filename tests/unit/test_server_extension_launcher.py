"""How a session's server is started."""

import subprocess
import sys
from pathlib import Path

import pytest

import bai_spawner
from bai_spawner.server_extension import launcher


def test_the_short_way_failing_starts_the_stock_server(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse() -> None:
        raise ImportError("no such module")

    started: list[list[str]] = []
    monkeypatch.setattr(launcher, "load", refuse)
    monkeypatch.setattr(sys, "argv", ["bai-session", "--debug"])

    def execv(_program: str, command: list[str]) -> None:
        started.append(command)
        raise SystemExit

    monkeypatch.setattr("os.execv", execv)
    with pytest.raises(SystemExit):
        launcher.serve()
    assert started == [[sys.executable, "-I", "-m", "jupyterhub.singleuser", "--debug"]]
    assert "no such module" in capsys.readouterr().err


def test_the_server_is_the_child_of_a_process_that_ends_as_it_does(tmp_path: Path) -> None:
    program = (
        "import sys; sys.path.append(sys.argv[1]);"
        "from bai_spawner.server_extension import launcher;"
        "launcher.load = lambda: lambda: sys.exit('the server says this');"
        "launcher.main(sys.argv[2])"
    )
    root = str(Path(bai_spawner.__file__).parents[1])
    command = [sys.executable, "-I", "-c", program, root, str(tmp_path)]
    shown = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (shown.returncode, shown.stdout) == (1, "the server says this\n")
    assert (tmp_path / "log/session.log").read_text() == shown.stdout


def test_upstreams_program_is_served_without_the_slow_module() -> None:
    program = (
        "import sys; sys.path.append(sys.argv[1]);"
        "from bai_spawner.server_extension.launcher import load, SLOW_AND_UNUSED;"
        "serve = load();"
        "print(serve.__self__.__module__, sys.modules[SLOW_AND_UNUSED])"
    )
    root = str(Path(bai_spawner.__file__).parents[1])
    shown = subprocess.run(
        [sys.executable, "-I", "-c", program, root], capture_output=True, text=True, check=True
    )
    assert shown.stdout.split() == ["jupyterhub.singleuser.extension", "None"]


@pytest.mark.parametrize("module", ["user_env", "launcher", "output"])
def test_it_loads_without_anything_but_the_standard_library(module: str) -> None:
    program = (
        "import sys; sys.path.append(sys.argv[1]); import importlib;"
        "importlib.import_module('bai_spawner.server_extension.' + sys.argv[2]);"
        "print([m for m in ('jupyterhub', 'jupyter_server', 'tornado') if m in sys.modules])"
    )
    root = str(Path(bai_spawner.__file__).parents[1])
    shown = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program, root, module],
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout.strip() == "[]"
