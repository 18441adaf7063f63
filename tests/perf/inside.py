"""What runs inside a session: its terminals, its memory, its imports, its image.

The web terminal (ttyd and tmux, by way of jupyter-server-proxy) and Jupyter's own are measured
in the same session, taking turns, by way of the hub's proxy as a browser would; both clients
are the same one. tmux sends a page what its screen shows, not all that a program prints: what
is timed is therefore how long it takes from Enter until the page has the line that follows
the output, and the rate is that of the program's output.
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import docker

from bai_spawner.units import MIB
from tests.deployment import REPO, Deployment
from tests.perf.stock import OURS, ensure_stock_image
from tests.perf.table import duration, ratio
from tests.session import Session
from tests.terminals import LabTerminal, Terminal, WebTerminal

USER, SERVER = "bench", "inside"
LAUNCH = {"preset": "medium", "mounts": [{"folder": "data"}]}
"""Two cores, so that neither terminal is slowed down by the session's limit."""
LINES = 1_000_000
OUTPUT = sum(len(f"{number}\n") for number in range(1, LINES + 1))
"""Bytes that `seq 1 1000000` prints."""
RUNS = 7
KEYS, LETTERS = 600, "QXZKVJ"
"""Keys typed, and letters that no prompt and no status line has."""
PAUSE = 0.008
"""Seconds between keys: nobody types faster."""
MANY = 20
SETTLE = 5
"""Seconds in which a server that just started finishes what it does on the side."""

Report = Callable[[str], None]

_MEMORY = """
import pathlib
rss = pss = count = 0
for folder in pathlib.Path("/proc").glob("[0-9]*"):
    try:
        if (folder / "cmdline").read_bytes().startswith(b"/usr/bin/python3\\0-IS\\0-c"):
            continue
        words = (folder / "status").read_text().split()
        resident = proportional = int(words[words.index("VmRSS:") + 1])
        # of sshd, which lets nobody look into it, no share is known
        words = (folder / "smaps_rollup").read_text().split()
        proportional = int(words[words.index("Pss:") + 1])
    except (PermissionError, ValueError):
        pass
    except OSError:
        continue
    rss += resident
    pss += proportional
    count += 1
print(rss * 1024, pss * 1024, count)
"""
_IMPORTS = """
import sys, time
began = time.perf_counter()
from bai_spawner.server_extension.launcher import load
load()
from jupyter_server.serverapp import ServerApp
app = ServerApp.instance(port=0, log_level="ERROR")
enabled = f"--ServerApp.jpserver_extensions=bai_spawner.server_extension={sys.argv[1]}"
app.initialize(argv=[enabled, "--ServerApp.open_browser=False"])
print(time.perf_counter() - began)
"""


class PlainDeployment(Deployment):
    """A hub with plain DockerSpawner, whose one container says nothing of whose it is."""

    def container(self, user: str, server: str) -> Any:
        """The only one."""
        (found,) = self.containers()
        return found


def measure_inside(client: docker.DockerClient, report: Report) -> None:
    """Measure, and report each table when it is there.

    Raises:
        SetupError: the image to compare with is not there and was not built.
    """
    stock = ensure_stock_image(client)
    with _session(Deployment, REPO / "jupyterhub_config.py", LAUNCH) as ours:
        idle = _memory(ours)
        with WebTerminal(ours.http) as terminal:
            terminal.says("echo re''ady", "ready")
            opened = _memory(ours)
        report(_throughput(ours))
        report(_echoes(ours))
        imports = _imports(ours)
    with _session(PlainDeployment, REPO / "tests/perf/plain_single_user.py", None) as plain:
        plain_idle = _memory(plain)
        with LabTerminal(plain.http) as terminal:
            terminal.says("echo re''ady", "ready")
            plain_opened = _memory(plain)
    report(_memories((idle, plain_idle), (opened, plain_opened)))
    report(imports)
    report(_sizes(client, stock))


@contextmanager
def _session(kind: type[Deployment], config: Path, options: Any) -> Iterator[Session]:
    """A session of a hub of its own, which has settled down."""
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-"))
        deployment = kind(Path(folder), config=config, env={"BENCH_IMAGE": OURS})
        stack.callback(deployment.clean)
        deployment.start()
        visitor = stack.enter_context(deployment.login(USER))
        answer = visitor.start(SERVER, options)
        if not visitor.ready(SERVER):
            raise RuntimeError(f"no session: {answer.text}\n{deployment.log.read_text()[-4000:]}")
        session = Session(deployment, visitor, SERVER)
        stack.callback(session.http.close)
        time.sleep(SETTLE)
        yield session


def _throughput(session: Session) -> str:
    """How fast a page has seen to the end what a program prints."""
    found: dict[str, list[tuple[float, float, int]]] = {"ours": [], "theirs": []}
    with WebTerminal(session.http) as ours, LabTerminal(session.http) as theirs:
        both = {"ours": ours, "theirs": theirs}
        for terminal in both.values():
            terminal.says("clear; echo re''ady", "ready")
        # the first time fills the history
        for number in range(RUNS + 1):
            for name, terminal in both.items():
                measured = _printed(session, terminal, number)
                found[name] += [measured] if number else []
    seconds, cpu, received = (
        {name: median(run[field] for run in runs) for name, runs in found.items()}
        for field in range(3)
    )
    rows = [
        _row("from Enter to the line after it", seconds, duration),
        _row("rate of the output", {n: OUTPUT / t for n, t in seconds.items()}, _rate),
        _row("CPU of the session", cpu, duration),
        _row("received by the page", received, _mib),
    ]
    title = f"seq 1 {LINES}, {OUTPUT / MIB:.1f} MiB; medians of {RUNS}"
    return _markdown("Terminal throughput", [title, "web terminal", "Jupyter's", "ratio"], rows)


def _printed(session: Session, terminal: Terminal, number: int) -> tuple[float, float, int]:
    """Seconds, CPU seconds of the session, and characters received."""
    time.sleep(0.3)
    before, cpu = terminal.received, _cpu(session)
    began = time.perf_counter()
    terminal.type(f"seq 1 {LINES}; echo all-''seen-{number}\r")
    terminal.until(f"all-seen-{number}")
    return time.perf_counter() - began, _cpu(session) - cpu, terminal.received - before


def _cpu(session: Session) -> float:
    """Seconds that the session's processes have computed."""
    container = session.container
    stats = container.client.api.stats(container.id, stream=False, one_shot=True)
    return float(stats["cpu_stats"]["cpu_usage"]["total_usage"]) / 1e9


def _echoes(session: Session) -> str:
    """How long a key takes to come back, with one terminal open and with many."""
    session.run("tmux", "kill-server")
    cases: dict[str, dict[str, list[float]]] = {}
    with ExitStack() as stack:
        ours = stack.enter_context(WebTerminal(session.http))
        theirs = stack.enter_context(LabTerminal(session.http))
        both: dict[str, Terminal] = {"ours": ours, "theirs": theirs}
        cases["1 open"] = _keys(both)
        for _ in range(MANY - 1):
            ours.type("\x02c")
        others = [stack.enter_context(LabTerminal(session.http)) for _ in range(MANY - 1)]
        cases[f"{MANY} shells"] = _keys(both)
        more = [stack.enter_context(WebTerminal(session.http)) for _ in range(MANY - 1)]
        for page in (*others, *more):
            threading.Thread(target=_drain, args=(page,), daemon=True).start()
        cases[f"{MANY} shells, each in a page"] = _keys(both)
    rows = []
    for case, found in cases.items():
        for share in (50, 99):
            taken = {name: _percentile(times, share) for name, times in found.items()}
            rows.append(_row(f"{case}, p{share}", taken, duration))
    head = [f"{KEYS} keys", "web terminal", "Jupyter's", "ratio"]
    return _markdown("From a key to its echo", head, rows)


def _keys(terminals: dict[str, Terminal]) -> dict[str, list[float]]:
    """Seconds from each key to its echo; the terminals take turns."""
    for terminal in terminals.values():
        terminal.says("clear; echo re''ady", "ready")
    found: dict[str, list[float]] = {name: [] for name in terminals}
    for number in range(KEYS):
        letter = LETTERS[number % len(LETTERS)]
        for name, terminal in terminals.items():
            began = time.perf_counter()
            terminal.type(letter)
            terminal.until(letter)
            found[name].append(time.perf_counter() - began)
            time.sleep(PAUSE)
        if number % 40 == 39:  # before the line is full
            for terminal in terminals.values():
                terminal.says("\x15clear; echo re''ady", "ready")
    return found


def _percentile(times: Sequence[float], share: int) -> float:
    return sorted(times)[len(times) * share // 100]


def _drain(terminal: Terminal) -> None:
    """Read what nobody looks at: it would hold up who writes."""
    for _ in terminal.socket:
        pass


def _memory(session: Session) -> tuple[int, int, int]:
    """Bytes resident in all processes, the same with what is shared counted once, and processes."""
    rss, pss, count = session.run("/usr/bin/python3", "-IS", "-c", _MEMORY).split()
    return int(rss), int(pss), int(count)


def _memories(*cases: tuple[tuple[int, int, int], tuple[int, int, int]]) -> str:
    rows = [
        _row(f"{when}, {what}", {"ours": ours[field], "theirs": theirs[field]}, shown)
        for when, (ours, theirs) in zip(("ready", "with a terminal"), cases, strict=True)
        for field, (what, shown) in enumerate((("RSS", _mib), ("PSS", _mib), ("processes", str)))
    ]
    head = ["all processes of a session", "ours", "jupyterhub-singleuser", "ratio"]
    return _markdown("Memory", head, rows)


def _imports(session: Session) -> str:
    """From Python's start to a server that could listen, with and without our extension."""
    found: dict[str, list[float]] = {"True": [], "False": []}
    for number in range(RUNS + 1):
        for enabled in found:
            command = ["/opt/bai/bin/python", "-I", "-c", _IMPORTS, enabled]
            seconds = float(session.run(*command).split()[-1])
            found[enabled] += [seconds] if number else []
    medians = {"ours": median(found["True"]), "theirs": median(found["False"])}
    head = ["imports and initialization of the server", "with", "without", "ratio"]
    return _markdown("Our extension", head, [_row(f"medians of {RUNS}", medians, duration)])


def _sizes(client: docker.DockerClient, stock: str) -> str:
    sizes = {
        "ours": client.images.get(OURS).attrs["Size"],
        "theirs": client.images.get(stock).attrs["Size"],
    }
    head = ["image", OURS, stock, "ratio"]
    return _markdown("Image", head, [_row("size", sizes, _mib)])


def _row(title: str, values: dict[str, Any], shown: Callable[[Any], str]) -> list[str]:
    ours, theirs = values["ours"], values["theirs"]
    return [title, shown(ours), shown(theirs), ratio(ours, theirs)]


def _mib(size: float) -> str:
    return f"{size / MIB:.1f} MiB"


def _rate(size: float) -> str:
    return f"{size / 1e6:.1f} MB/s"


def _markdown(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table for a page or a terminal: numbers to the right."""
    rule = ["---", *("---:" for _ in head[1:])]
    lines = [f"| {' | '.join(cells)} |" for cells in (head, rule, *rows)]
    return f"\n{title}\n\n" + "\n".join(lines)
