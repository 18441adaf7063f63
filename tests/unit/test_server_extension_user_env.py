"""What `bai-user-env` promises, seen from the program that it starts."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bai_spawner.server_extension import user_env
from bai_spawner.server_extension.user_env import UserEnvError, merged, read_user_env

SHOW = "import json, os; print(json.dumps(dict(os.environ)))"


@pytest.fixture
def env_file(tmp_path: Path) -> Path:
    return tmp_path / "env.json"


def wrapped(env_file: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run `command` as `bai-user-env` does in a session, its file being `env_file`."""
    program = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[1]);"
        "from bai_spawner.server_extension.user_env import main;"
        "main(sys.argv[3:], Path(sys.argv[2]))"
    )
    root = str(Path(user_env.__file__).parents[2])
    return subprocess.run(
        [sys.executable, "-I", "-S", "-c", program, root, str(env_file), *command],
        capture_output=True,
        text=True,
        check=False,
    )


def test_without_a_file_there_are_no_variables(env_file: Path) -> None:
    assert read_user_env(env_file) == {}


@pytest.mark.parametrize(
    "value",
    [
        "{0} {prefix.__class__}",
        "$HOME ${HOME}",
        "`id` $(id)",
        "%d %% %PATH%",
        "ünï 🙂",
        "'\"\\",
        " ",
    ],
)
def test_a_value_arrives_literally(env_file: Path, value: str) -> None:
    env_file.write_text(json.dumps({"NAME": value}))
    shown = wrapped(env_file, sys.executable, "-c", SHOW)
    assert json.loads(shown.stdout)["NAME"] == value


@pytest.mark.parametrize("name", ["PATH", "LD_LIBRARY_PATH", "PYTHONPATH", "LANG", "BASH_ENV"])
def test_any_name_may_be_set(env_file: Path, name: str) -> None:
    env_file.write_text(json.dumps({name: "/chosen"}))
    shown = wrapped(env_file, sys.executable, "-c", SHOW)
    assert json.loads(shown.stdout)[name] == "/chosen"


def test_the_program_is_found_on_the_path_that_the_user_chose(
    env_file: Path, tmp_path: Path
) -> None:
    program = tmp_path / "only-here"
    program.write_text("#!/bin/sh\necho found\n")
    program.chmod(0o755)
    env_file.write_text(json.dumps({"PATH": str(tmp_path)}))
    assert wrapped(env_file, "only-here").stdout == "found\n"


def test_arguments_reach_the_program_as_they_are(env_file: Path) -> None:
    arguments = ["a b", "$HOME", "-x", ""]
    shown = wrapped(env_file, sys.executable, "-c", "import sys; print(sys.argv[1:])", *arguments)
    assert shown.stdout.strip() == repr(arguments)


@pytest.mark.parametrize("content", ["", "{", "[]", '"text"', '{"A": 1}', '{"A": null}', "\xff"])
def test_a_damaged_file_is_named_and_does_not_cost_the_terminal(
    env_file: Path, content: str
) -> None:
    env_file.write_text(content, encoding="latin-1")
    with pytest.raises(UserEnvError, match=str(env_file)):
        read_user_env(env_file)
    shown = wrapped(env_file, "/bin/echo", "still here")
    assert shown.stdout == "still here\n"
    assert str(env_file) in shown.stderr


def test_a_program_that_is_not_there_ends_as_in_a_shell(env_file: Path) -> None:
    ended = wrapped(env_file, "/no/such/program")
    assert ended.returncode == 127
    assert "/no/such/program: No such file or directory" in ended.stderr


def test_a_program_that_may_not_run_ends_as_in_a_shell(env_file: Path, tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("")
    assert wrapped(env_file, str(tmp_path / "plain")).returncode == 126


def test_without_a_command_the_usage_is_shown(env_file: Path) -> None:
    ended = wrapped(env_file)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("usage: bai-user-env")


def test_the_users_variable_wins_and_the_others_stay() -> None:
    assert merged({"A": "1", "B": "2"}, {"B": "3"}) == {"A": "1", "B": "3"}


def test_reading_leaves_this_process_alone(env_file: Path) -> None:
    env_file.write_text('{"BAI_TEST_NAME": "x"}')
    read_user_env(env_file)
    assert "BAI_TEST_NAME" not in os.environ
