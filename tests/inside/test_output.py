"""A program's output on its way: whole, in order, bounded; and its end becomes its parent's."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.deployment import REPO

SESSION = """
import sys; sys.path.append({repo!r})
from bai_spawner.server_extension.output import keep_session
def serve():
    import os, signal, subprocess, time
    def say(text): os.write(1, text if isinstance(text, bytes) else text.encode())
    def wait_for(path):
        while not os.path.exists(path): time.sleep(0.01)
    exec(sys.argv[1], {{**globals(), **locals()}})
code = keep_session(serve, {run!r})
if "json" in sys.modules: code = 100
sys.exit(code)
"""
APP = """
import sys; sys.path.append({repo!r})
from bai_spawner.server_extension import child
from bai_spawner.server_extension.output import keep_app
child.GRACE = 1
sys.exit(keep_app(sys.argv[1:], {run!r}))
"""
MIB = 1 << 20

Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return tmp_path / "run"


@pytest.fixture
def start(run: Path) -> Iterator[Start]:
    """Starts one of the two programs with arguments; what is left of them is killed."""
    started: list[subprocess.Popen[bytes]] = []

    def begin(
        program: str, *arguments: str, before: Callable[[], None] | None = None
    ) -> subprocess.Popen[bytes]:
        text = program.format(repo=str(REPO), run=str(run))
        process = subprocess.Popen(
            [sys.executable, "-I", "-c", text, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            preexec_fn=before,  # noqa: PLW1509 - it sets a limit, and nothing else
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def log(run: Path) -> bytes:
    """All that is kept, the older half first."""
    folder = run / "log"
    older = folder / "session.log.1"
    return (older.read_bytes() if older.exists() else b"") + (folder / "session.log").read_bytes()


def started_with(process: subprocess.Popen[bytes], line: bytes) -> None:
    """Waits until the program says this."""
    assert process.stdout
    assert process.stdout.readline() == line


def gone(pid: int) -> bool:
    """Whether a process has ended, waited for or not; looked at until it has, or for long."""
    for _ in range(200):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":
            return True
        time.sleep(0.1)
    return False


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("pass", 0),
        ("sys.exit(7)", 7),
        ("os._exit(255)", 255),
        ("os.kill(os.getpid(), signal.SIGTERM)", 143),
        ("os.kill(os.getpid(), signal.SIGKILL)", 137),
        ("os.kill(os.getpid(), signal.SIGBUS)", 135),
        ("raise RuntimeError('broken')", 1),
        ("os.execvp('sh', ['sh', '-c', 'exit 3'])", 3),
    ],
)
def test_it_ends_as_its_child_does(start: Start, code: str, expected: int) -> None:
    process = start(SESSION, code)
    process.communicate()
    assert process.returncode == expected


def test_both_outputs_reach_the_engine_and_the_file_in_order(start: Start, run: Path) -> None:
    code = "for n in range(500): os.write(1 + n % 2, b'%d\\n' % n)"
    output, errors = start(SESSION, code).communicate()
    assert output == b"".join(b"%d\n" % n for n in range(500))
    assert errors == b""
    assert log(run) == output


def test_nobody_else_may_read_the_file(start: Start, run: Path) -> None:
    start(SESSION, "say('x')", before=lambda: os.umask(0) and None).communicate()
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (run / "log", run / "log/session.log")]
    assert modes == [0o700, 0o600]


@pytest.mark.parametrize(
    "words",
    ["b'no end of line'", "b''", r"b'\x00\xff\xfe\r\x1b[31m\n\n'", "bytes(range(256)) * 2000"],
)
def test_whatever_bytes_it_writes_are_kept(start: Start, run: Path, words: str) -> None:
    output, _ = start(SESSION, f"say(b'begun'); say({words})").communicate()
    assert output == b"begun" + eval(words)
    assert log(run) == output


def test_a_child_that_is_killed_keeps_its_last_words(start: Start, run: Path) -> None:
    code = "say('x' * 60000 + 'the end'); os.kill(os.getpid(), signal.SIGKILL)"
    process = start(SESSION, code)
    output, _ = process.communicate()
    assert output.endswith(b"the end")
    assert log(run) == output
    assert process.returncode == 137


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_reaches_the_child(start: Start, number: signal.Signals) -> None:
    code = (
        f"signal.signal({int(number)}, lambda n, _: (say(f'got {{n}}'), os._exit(5)));"
        "say('ready\\n'); time.sleep(60)"
    )
    process = start(SESSION, code)
    started_with(process, b"ready\n")
    process.send_signal(number)
    output, _ = process.communicate()
    assert output == b"got %d" % number
    assert process.returncode == 5


def test_a_signal_reaches_the_child_while_nobody_takes_the_output(start: Start) -> None:
    code = (
        "signal.signal(signal.SIGTERM, lambda *_: os._exit(6));say('ready\\n'); say(bytes(4 << 20))"
    )
    process = start(SESSION, code)
    started_with(process, b"ready\n")
    process.terminate()
    output, _ = process.communicate()
    assert process.returncode == 6
    assert len(output) < 4 << 20


def test_a_slow_reader_gets_everything(start: Start, run: Path) -> None:
    code = "for n in range(40): say(bytes([65 + n % 26]) * 50_000 + b'\\n')"
    process = start(SESSION, code)
    assert process.stdout
    output = b""
    while piece := os.read(process.stdout.fileno(), 100_000):
        output += piece
        time.sleep(0.01)
    expected = b"".join(bytes([65 + n % 26]) * 50_000 + b"\n" for n in range(40))
    assert output == expected
    assert expected.endswith(log(run))


def test_a_flood_is_delivered_whole_and_kept_bounded(start: Start, run: Path) -> None:
    code = "for n in range(100_000): say(b'%099d\\n' % n)"
    output, _ = start(SESSION, code).communicate()
    assert output == b"".join(b"%099d\n" % n for n in range(100_000))
    kept = log(run)
    assert output.endswith(kept)
    sizes = [path.stat().st_size for path in (run / "log").iterdir()]
    assert len(sizes) == 2
    assert max(sizes) <= MIB
    assert len(kept) > MIB
    assert kept.startswith(b"0"), "turned between lines"


def test_a_line_longer_than_the_file_is_bounded_too(start: Start, run: Path) -> None:
    output, _ = start(SESSION, f"say(b'x' * {3 * MIB})").communicate()
    assert len(output) == 3 * MIB
    assert max(path.stat().st_size for path in (run / "log").iterdir()) <= MIB


def test_others_that_hold_the_pipe_are_not_waited_for(start: Start, run: Path) -> None:
    code = "say('%d\\n' % subprocess.Popen(['sleep', '60']).pid); say('last words')"
    process = start(SESSION, code)
    assert process.stdout
    sleeper = int(process.stdout.readline())
    try:
        # it keeps the engine's pipe no longer than its child, which is not the sleeper
        assert process.wait() == 0
        assert log(run).endswith(b"last words")
    finally:
        os.kill(sleeper, signal.SIGKILL)


def test_one_that_goes_on_writing_for_ever_is_not_waited_for(start: Start) -> None:
    code = """\
child = subprocess.Popen(['sh', '-c', 'read go; exec yes'], stdin=subprocess.PIPE)
say('%d\\n' % child.pid)
child.stdin.write(b'go\\n'); child.stdin.close(); time.sleep(0.3)"""
    process = start(SESSION, code)
    assert process.stdout
    writer = int(process.stdout.readline())
    try:
        process.communicate()
        assert process.returncode == 0
    finally:
        assert gone(writer), "its pipe is closed"


def test_a_child_that_closes_its_output_is_waited_for(start: Start) -> None:
    process = start(SESSION, "os.close(1); os.close(2); time.sleep(0.5); os._exit(4)")
    process.communicate()
    assert process.returncode == 4


def limit_files() -> None:
    import resource  # noqa: PLC0415 - in the child alone

    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))


def test_a_full_disk_keeps_nothing_from_the_engine(start: Start, run: Path) -> None:
    code = "for n in range(300): say('%d%s\\n' % (n, 'x' * 100)); time.sleep(0.001)"
    output, _ = start(SESSION, code, before=limit_files).communicate()
    told = [line for line in output.splitlines() if line.startswith(b"bai-session: ")]
    path = run / "log/session.log"
    expected = f"bai-session: what follows is not kept in {path}: File too large"
    assert told == [expected.encode()]
    lines = [line for line in output.splitlines() if line not in told]
    assert lines == [b"%d%s" % (n, b"x" * 100) for n in range(300)]
    assert path.stat().st_size <= 1000


@pytest.mark.parametrize("kind", ["a file", "a link", "a pipe", "a folder"])
def test_what_lies_in_the_way_keeps_nothing_from_the_engine(
    start: Start, run: Path, tmp_path: Path, kind: str
) -> None:
    run.mkdir()
    other = tmp_path / "other"
    other.write_text("mine")
    path = run / "log/session.log"
    if kind == "a file":
        (run / "log").write_text("in the way")
    else:
        (run / "log").mkdir()
        make = {"a link": lambda: path.symlink_to(other), "a pipe": lambda: os.mkfifo(path)}
        make.get(kind, path.mkdir)()
    output, _ = start(SESSION, "say('heard\\n')").communicate()
    assert output.endswith(b"heard\n")
    assert output.startswith(b"bai-session: what follows is not kept")
    assert other.read_text() == "mine"


def test_what_could_not_be_kept_is_told_once_it_can_be(
    start: Start, run: Path, tmp_path: Path
) -> None:
    run.mkdir()
    (run / "log").write_text("in the way")
    go = tmp_path / "go"
    process = start(SESSION, f"say('lost\\n'); wait_for({str(go)!r}); say('kept\\n')")
    assert process.stdout
    assert process.stdout.readline().startswith(b"bai-session: what follows is not kept")
    started_with(process, b"lost\n")
    (run / "log").unlink()
    go.touch()
    process.communicate()
    assert log(run) == b"\n[output is missing here: Not a directory]\nkept\n"


def test_a_file_that_was_deleted_is_made_anew(start: Start, run: Path) -> None:
    path = str(run / "log/session.log")
    code = f"say('one\\n'); wait_for({path!r}); os.unlink({path!r}); say('two\\n')"
    start(SESSION, code).communicate()
    assert log(run) == b"two\n"


def test_an_engine_that_listens_no_more_keeps_nothing_from_the_file(
    start: Start, run: Path, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    process = start(SESSION, f"say('ready\\n'); wait_for({str(go)!r}); say('on\\n'); say('!')")
    started_with(process, b"ready\n")
    assert process.stdout
    process.stdout.close()
    go.touch()
    assert process.wait() == 0
    assert log(run) == b"ready\non\n!"


def test_what_was_kept_before_stays_when_the_session_starts_again(start: Start, run: Path) -> None:
    start(SESSION, "say('first\\n')").communicate()
    start(SESSION, "say('second\\n')").communicate()
    assert log(run) == b"first\nsecond\n"


def test_the_parent_imports_nothing_that_its_child_does(start: Start) -> None:
    process = start(SESSION, "import json; assert 'json' in sys.modules; os._exit(3)")
    process.communicate()
    assert process.returncode == 3, "100 if it had"


def app_log(run: Path, name: str) -> bytes:
    return (run / "apps" / f"{name}.log").read_bytes()


def test_an_apps_lines_are_told_apart_in_the_sessions_log_and_plain_in_its_own(
    start: Start, run: Path
) -> None:
    process = start(APP, "tensorboard", "sh", "-c", "echo one; echo two >&2; printf three")
    output, _ = process.communicate()
    assert output == b"tensorboard: one\ntensorboard: two\ntensorboard: three\n"
    assert app_log(run, "tensorboard") == b"one\ntwo\nthree"


def test_an_apps_log_begins_anew_with_each_start(start: Start, run: Path) -> None:
    for words in ("first", "second"):
        start(APP, "a", "echo", words).communicate()
    assert app_log(run, "a") == b"second\n"


def test_a_line_of_an_app_that_never_ends_is_broken(start: Start) -> None:
    output, _ = start(APP, "a", sys.executable, "-c", "print('x' * 300_000)").communicate()
    lines = output.splitlines()
    assert all(line.startswith(b"a: ") for line in lines)
    assert b"".join(line[3:] for line in lines) == b"x" * 300_000
    assert max(map(len, lines)) < 200_000


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (("sh", "-c", "exit 9"), 9),
        (("sh", "-c", "kill -KILL $$"), 137),
        (("no-such-program",), 127),
        (("/etc/passwd",), 126),
    ],
)
def test_an_apps_exit_code_is_handed_back(
    start: Start, command: tuple[str, ...], code: int
) -> None:
    process = start(APP, "a", *command)
    process.communicate()
    assert process.returncode == code


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("a",),
        ("", "true"),
        ("../a", "true"),
        ("A", "true"),
        ("a" * 33, "true"),
        ("a.b", "true"),
        ("-a", "true"),
        ("1", "true"),
    ],
)
def test_an_app_without_a_name_or_a_command_is_refused(
    start: Start, run: Path, arguments: tuple[str, ...]
) -> None:
    process = start(APP, *arguments)
    output, errors = process.communicate()
    assert (process.returncode, output) == (2, b"")
    assert errors.startswith(b"usage: bai-app NAME CMD")
    assert not run.exists()


def test_an_app_has_no_input_and_the_signals_of_any_program(start: Start) -> None:
    # with SIGPIPE ignored, `yes` would complain instead of ending
    process = start(APP, "a", "bash", "-c", "cat; yes | head -n 1; echo ${PIPESTATUS[0]}")
    output, _ = process.communicate()
    assert output == b"a: y\na: 141\n"


def test_all_of_an_app_is_ended_when_it_is_asked_to(start: Start) -> None:
    process = start(APP, "a", "sh", "-c", "sleep 60 & echo $!; wait")
    assert process.stdout
    sleeper = int(process.stdout.readline().removeprefix(b"a: "))
    process.terminate()
    assert process.wait() == 143
    assert gone(sleeper)


def test_an_app_that_does_not_want_to_end_is_killed(start: Start) -> None:
    process = start(APP, "a", "sh", "-c", "trap '' TERM; echo $$; while :; do sleep 1; done")
    assert process.stdout
    pid = int(process.stdout.readline().removeprefix(b"a: "))
    process.terminate()
    assert process.wait() == 137
    assert gone(pid)


def test_what_an_app_leaves_behind_ends_with_it(start: Start) -> None:
    process = start(APP, "a", "sh", "-c", "sleep 60 & echo $!")
    output, _ = process.communicate()
    assert gone(int(output.removeprefix(b"a: ")))
    assert process.returncode == 0


def test_an_engine_that_does_not_read_stops_neither_the_session_nor_its_file(
    start: Start, run: Path, tmp_path: Path
) -> None:
    """As one that is away while containers live on: its pipe is open, and full."""
    done = tmp_path / "done"
    program = SESSION.replace(
        "def serve():",
        "from bai_spawner.server_extension import output\noutput.PATIENCE = 0.2\n"
        "output._Reader.patience = 0.2\ndef serve():",
    )
    script = f"[say(b'x' * 1023 + b'\\n') for _ in range(400)]; open({str(done)!r}, 'w').close()"
    process = start(program, script)
    assert process.wait(20) == 0, "it ends, though nobody reads what it says"
    assert done.exists()
    assert (run / "log" / "session.log").stat().st_size == 400 * 1024
