"""One measurement in a process of its own: ``python -m bai_spawner.gpu.verify.probe <what>``.

    sees                          the devices that CUDA gives this process
    memory DEVICE MOST            bytes it can hold, up to MOST
    sms DEVICE                    SMs it is told of, and SMs its blocks run on
    rate DEVICE                   FMAs in a second, measured for `MEASURED` seconds
    hold DEVICE BYTES SECONDS     holds so much until its standard input ends, or so long
    busy DEVICE SECONDS           computes until its standard input ends, or so long
    namespaces                    its IPC and PID namespaces

It prints its reading (`readings`) as one line of JSON; ``hold`` and ``busy`` print
the line `READY` before, once they hold or compute. It ends with 0, or with 1 when there is no
reading. It looks at the environment as any CUDA program does and at nothing else.

A launch takes some `LAUNCH` seconds, SIGTERM is heard between two of them, and whatever was
allocated is given back: under MPS a client that is killed in mid-kernel can take its neighbours
with it.
"""

from __future__ import annotations

import argparse
import json
import select
import signal
import struct
import sys
import time
from collections.abc import Callable, Iterator
from ctypes import c_uint, c_uint64
from pathlib import Path
from types import FrameType
from typing import NoReturn

from bai_spawner.errors import BaiError
from bai_spawner.gpu.verify import ptx
from bai_spawner.gpu.verify.cuda import OUT_OF_MEMORY, Context, CudaError, Driver, Module
from bai_spawner.gpu.verify.readings import (
    READY,
    Busy,
    Devices,
    Memory,
    Namespaces,
    ProbeRefused,
    Rate,
    Reading,
    Sms,
    line,
)
from bai_spawner.units import MIB

CHUNK = 64 * MIB
"""Bytes of one allocation: a multiple of the 2 MiB pages that the driver deals in."""
MOST_CHUNKS = 65_536
"""4 TiB: a bound on what any GPU has."""
MOST_SECONDS = 120.0
"""For which ``hold`` and ``busy`` go on at most."""
MEASURED = 1.5
LAUNCH = 0.02
"""Seconds that one launch should take; far below a watchdog's, and far above its cost."""
SHORTEST = LAUNCH / 4
MOST_GROWTH = 8
"""A short launch is timed badly: going further at once might end far above `LAUNCH`."""
MOST_STEPS = 8
BLOCKS = 4096
"""Several times what any GPU runs at once, so that each SM is busy to a launch's end."""
THREADS = 256
PLACE_BLOCKS = 512
"""More than two for each SM of any GPU there is."""
PLACE_THREADS = 1024
"""At most two such blocks fit an SM."""
PLACE_CYCLES = 50_000
"""With 512 blocks one after the other, on one SM: some 20 ms."""
PLACE_LAUNCHES = 8


class Terminated(BaseException):
    """SIGTERM came. Not an `Exception`: nothing but the ends of ``with`` blocks may heed it."""


def sees(driver: Driver) -> Devices:
    """The devices of this process, in CUDA's order."""
    ordinals = range(driver.count())
    return Devices(tuple(map(driver.uuid, ordinals)), tuple(map(driver.name, ordinals)))


def memory(context: Context, most: int) -> Memory:
    """Hold as much as can be had, in chunks, up to ``most`` bytes."""
    held, refused = _grab(context, most)
    return Memory(held, context.memory()[1], refused)


def hold(context: Context, size: int, seconds: float) -> Memory:
    """Hold so many bytes until standard input ends; fewer where there are fewer."""
    held, refused = _grab(context, size)
    total = context.memory()[1]
    _ready()
    _released(min(seconds, MOST_SECONDS))
    return Memory(held, total, refused)


def _grab(context: Context, most: int) -> tuple[int, bool]:
    """Bytes that are held now, and whether the driver then refused a chunk."""
    held = 0
    for _ in range(min(most // CHUNK, MOST_CHUNKS)):
        try:
            context.allocate(CHUNK)
        except CudaError as error:
            if error.code != OUT_OF_MEMORY:
                raise
            return held, True
        held += CHUNK
    return held, False


def sms(driver: Driver, context: Context, ordinal: int) -> Sms:
    """Launch blocks that write down where they are."""
    module = context.load(ptx.SOURCE)
    size = PLACE_BLOCKS * 4
    out = context.allocate(size)
    at_once, ever = 0, set[int]()
    for _ in range(PLACE_LAUNCHES):
        module.launch(ptx.PLACE, PLACE_BLOCKS, PLACE_THREADS, c_uint64(out), c_uint64(PLACE_CYCLES))
        context.synchronize()
        seen = set(struct.unpack(f"<{PLACE_BLOCKS}I", context.read(out, size)))
        at_once, ever = max(at_once, len(seen)), ever | seen
    return Sms(driver.multiprocessors(ordinal), at_once, len(ever))


class Load:
    """Launches of equal work, each of about `LAUNCH` seconds."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._module: Module = context.load(ptx.SOURCE)
        self._out = context.allocate(ptx.RATE_HEAD + 4 * BLOCKS * THREADS)
        self._rounds = 16
        self._launch()  # the first one pays for loading the kernel
        for _ in range(MOST_STEPS):
            if (took := self._launch()) >= SHORTEST:
                break
            self._rounds *= min(MOST_GROWTH, int(LAUNCH / max(took, 1e-6)))

    @property
    def fmas_each(self) -> int:
        """FMAs of one launch."""
        return self._rounds * ptx.FMAS_PER_ROUND * BLOCKS * THREADS

    def until(self, done: Callable[[], bool]) -> Iterator[float]:
        """Launch until it is done; the moments at which the launches ended."""
        while not done():
            self._launch()
            yield time.monotonic()

    def clock(self) -> float:
        """The clock of the SMs during the last launch, in Hz; 0 where it cannot be told."""
        cycles, nanoseconds = struct.unpack("<QQ", self._context.read(self._out, ptx.RATE_HEAD))
        return cycles / nanoseconds * 1e9 if nanoseconds else 0.0

    def _launch(self) -> float:
        started = time.monotonic()
        self._module.launch(ptx.RATE, BLOCKS, THREADS, c_uint64(self._out), c_uint(self._rounds))
        self._context.synchronize()
        return time.monotonic() - started


def rate(context: Context) -> Rate:
    """Compute for `MEASURED` seconds, after a tenth of that to let the clock rise."""
    load = Load(context)
    warm = time.monotonic() + MEASURED / 10
    for _ in load.until(lambda: time.monotonic() >= warm):
        pass
    started = time.monotonic()
    ended = list(load.until(lambda: time.monotonic() >= started + MEASURED))
    fmas = load.fmas_each * len(ended) / (ended[-1] - started)
    return Rate(fmas, load.clock(), started, ended[-1])


def busy(context: Context, seconds: float) -> Busy:
    """Compute until standard input ends."""
    load = Load(context)
    _ready()
    deadline = time.monotonic() + min(seconds, MOST_SECONDS)
    ended = tuple(load.until(lambda: _released(0) or time.monotonic() >= deadline))
    return Busy(load.fmas_each, load.clock(), ended)


def namespaces() -> Namespaces:
    """Those of this process, as the kernel names them."""
    here = Path("/proc/self/ns")
    return Namespaces(str((here / "ipc").readlink()), str((here / "pid").readlink()))


def _ready() -> None:
    sys.stdout.write(READY + "\n")
    sys.stdout.flush()


def _released(wait: float) -> bool:
    """Whether standard input has ended, or something came on it."""
    return bool(select.select([sys.stdin], [], [], wait)[0])


def _measure(arguments: argparse.Namespace) -> Reading:
    if arguments.what == "namespaces":
        return namespaces()
    try:
        driver = Driver()
        if arguments.what == "sees":
            return sees(driver)
        opened = driver.open(arguments.device)
    except CudaError as error:
        raise ProbeRefused(str(error)) from error
    with opened as context:
        match arguments.what:
            case "memory":
                return memory(context, arguments.most)
            case "hold":
                return hold(context, arguments.size, arguments.seconds)
            case "sms":
                return sms(driver, context, arguments.device)
            case "busy":
                return busy(context, arguments.seconds)
            case _:
                return rate(context)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="probe", description=__doc__.partition("\n")[0])
    whats = parser.add_subparsers(dest="what", required=True)
    for what in ("sees", "namespaces"):
        whats.add_parser(what)
    on = {what: whats.add_parser(what) for what in ("memory", "sms", "rate", "hold", "busy")}
    for sub in on.values():
        sub.add_argument("device", type=int, help="its number in CUDA's order, from 0")
    on["memory"].add_argument("most", type=int, help="bytes")
    on["hold"].add_argument("size", type=int, help="bytes")
    for what in ("hold", "busy"):
        on[what].add_argument("seconds", type=float)
    return parser


def _terminated(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise Terminated


def main(arguments: list[str] | None = None) -> int:
    """Measure, print the reading, and say by the exit code whether there is one."""
    asked = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, _terminated)
    try:
        code, said = 0, line(_measure(asked))
    except Terminated:
        return 128 + signal.SIGTERM
    except BaiError as error:
        key = "refused" if isinstance(error, ProbeRefused) else "failed"
        code, said = 1, json.dumps({key: str(error)})
    sys.stdout.write(said + "\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
