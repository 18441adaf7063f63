"""`gpu verify` without a GPU: what can be wrong with it, but not whether any cap holds.

The kernels are assembled where there is an assembler; the judgement is tried on sessions that
are scripted; and the probes run, end to end, on a C library that says what libcuda would say.
No test here shows that a real driver enforces anything: `tests/gpu` does, on a GPU.
"""

from __future__ import annotations

import datetime as dt
import os
import shutil
import signal
import struct
import subprocess
import sys
import textwrap
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from bai_spawner.enforcement import Enforcement, Level
from bai_spawner.gpu.verify import ptx
from bai_spawner.gpu.verify.checks import (
    Check,
    Expected,
    Verdict,
    Whole,
    measure_whole,
    passed,
    verify,
)
from bai_spawner.gpu.verify.escapes import ESCAPES, Escape, Resource
from bai_spawner.gpu.verify.readings import (
    Busy,
    Devices,
    Memory,
    Namespaces,
    Output,
    ProbeFailed,
    ProbeRefused,
    Rate,
    Sms,
    line,
    read,
)
from bai_spawner.gpu.verify.runner import PROBE, Ask, ProcessRunner
from bai_spawner.gpu.verify.session import Session, Variation
from bai_spawner.gpu.verify.table import Heading, markdown, plain
from bai_spawner.units import GIB, MIB
from tests import cuda

UUID = "8f3c2c5e-0d55-4c5b-9d3a-8a4b6f4f7f10"
OTHER = "11111111-2222-3333-4444-555555555555"
CAP = 16 * GIB
EXPECTED = Expected(memory_mib=CAP // MIB, sm_percent=20, devices=(f"GPU-{UUID}",))
SESSION = Enforcement(Level.SESSION, Level.SESSION)
PROCESS = Enforcement(Level.PROCESS, Level.PROCESS)
COOPERATIVE = Enforcement(Level.COOPERATIVE, Level.COOPERATIVE)
NOTHING = Enforcement()
WHOLE = Whole(sms=132, rate=Rate(fmas=33e12, clock=1.98e9, started=0.0, ended=1.5))


@pytest.mark.parametrize("target", ["70", "75", "80", "86", "89", "90", "100", "120"])
def test_the_kernels_assemble_and_no_fma_is_left_out(target: str, tmp_path: Path) -> None:
    ptxas = shutil.which("ptxas") or pytest.skip("there is no ptxas")
    source, code = tmp_path / "kernels.ptx", tmp_path / "kernels.cubin"
    source.write_text(ptx.SOURCE)
    run = subprocess.run(
        [ptxas, "-Werror", f"-arch=sm_{target}", str(source), "-o", str(code)],
        capture_output=True,
        text=True,
        check=False,
    )
    if "is not defined for option 'gpu-name'" in run.stderr:
        pytest.skip(f"this ptxas does not know sm_{target}")
    assert run.returncode == 0, run.stderr
    opcodes = instructions(code.read_bytes(), f".text.{ptx.RATE}")
    assert opcodes.count(FFMA) == ptx.FMAS_PER_ROUND
    assert instructions(code.read_bytes(), f".text.{ptx.PLACE}")


FFMA = 0x23
"""The low byte of the opcode that multiplies and adds, in Volta's encoding and since."""


def instructions(elf: bytes, section: str) -> list[int]:
    """The low bytes of the opcodes of a section; an instruction has 16 bytes."""
    (offset,) = struct.unpack_from("<Q", elf, 0x28)
    size, count, names = struct.unpack_from("<HHH", elf, 0x3A)
    heads = [struct.unpack_from("<IIQQQQ", elf, offset + i * size) for i in range(count)]
    for name, _, _, _, start, length in heads:
        at = heads[names][4] + name
        if elf[at : elf.index(b"\0", at)] == section.encode():
            return [elf[i] for i in range(start, start + length, 16)]
    return []


@dataclass
class Scripted:
    """A session in a container that enforces everything, but for what a test replaces."""

    plain: dict[str, Output] = field(default_factory=dict)
    varied: dict[tuple[str, str], Output] = field(default_factory=dict)
    pair: dict[str, Output] = field(default_factory=dict)
    contained: bool = True
    asked: list[Ask] = field(default_factory=list)

    def run(self, ask: Ask) -> Output:
        self.asked.append(ask)
        what = ask.what[0]
        varied = self.varied.get((what, str(Variation(ask.process, ask.launch))))
        return varied or self.plain.get(what) or GOOD[what]

    def beside(self, first: Ask, second: Ask) -> tuple[Output, Output]:
        both = [self.pair.get(ask.what[0]) or GOOD_PAIR[ask.what[0]] for ask in (first, second)]
        return both[0], both[1]


def said(reading: Devices | Memory | Sms | Rate | Busy | Namespaces) -> Output:
    return Output(0, line(reading) + "\n")


def rate_of(share: float) -> Rate:
    """At a higher clock than the whole device's, as a small share runs."""
    return Rate(share * 33e12 * 1.1, 1.98e9 * 1.1, 10.0, 11.5)


def busy_of(share: float) -> Busy:
    """Launches of 10 ms, before and while the rate beside it is measured."""
    return Busy(int(share * 33e12 / 100), 1.98e9, tuple(9.0 + i / 100 for i in range(400)))


HELD = CAP - 512 * MIB
GOOD = {
    "sees": said(Devices((UUID,), ("NVIDIA H100 80GB HBM3",))),
    "namespaces": said(Namespaces("ipc:[1]", "pid:[2]")),
    "memory": said(Memory(HELD, CAP, refused=True)),
    "sms": said(Sms(told=26, at_once=26, ever=26)),
    "rate": said(rate_of(0.2)),
}
GOOD_PAIR = {
    "hold": said(Memory(HELD, CAP, refused=False)),
    "memory": said(Memory(0, CAP, refused=True)),
    "busy": said(busy_of(0.1)),
    "rate": said(rate_of(0.1)),
}
TOO_MUCH = said(Memory(CAP + 4 * GIB, 80 * GIB, refused=False))
REFUSED = Output(1, '{"refused": "cuInit: CUDA_ERROR_MPS_CONNECTION_FAILED (no server)"}\n')
HERE = {name: Path("/proc/self/ns", name).readlink() for name in ("ipc", "pid")}
"""The namespaces of this host."""
LEAKS = {
    Resource.MEMORY: ("memory", TOO_MUCH),
    Resource.COMPUTE: ("rate", said(rate_of(1.0))),
    Resource.DEVICES: ("sees", said(Devices((UUID, OTHER), ("one", "another")))),
}


def named(checks: tuple[Check, ...], verdict: Verdict) -> set[str]:
    return {check.name for check in checks if check.verdict is verdict}


def test_every_check_holds_in_a_session_that_enforces_its_share() -> None:
    checks = verify(Scripted(), EXPECTED, SESSION, WHOLE)
    assert named(checks, Verdict.HOLDS) == {check.name for check in checks}
    assert len({check.name for check in checks}) == len(checks) == 26
    assert passed(checks)


def test_a_mig_device_is_known_by_its_own_uuid() -> None:
    expected = replace(EXPECTED, devices=(f"MIG-{UUID.upper()}",))
    assert passed(verify(Scripted(), expected, SESSION, WHOLE))


@pytest.mark.parametrize(
    ("name", "leak"),
    [
        ("memory cap, device 0", Scripted({"memory": TOO_MUCH})),
        ("memory granted, device 0", Scripted({"memory": said(Memory(GIB, CAP, refused=True))})),
        ("SMs, device 0", Scripted({"sms": said(Sms(26, 132, 132))})),
        ("SMs, device 0", Scripted({"sms": said(Sms(26, 20, 20))})),
        ("FMA rate, device 0", Scripted({"rate": said(rate_of(0.25))})),
        ("FMA rate, device 0", Scripted({"rate": said(rate_of(0.15))})),
        ("memory cap, two processes", Scripted(pair={"memory": said(Memory(GIB, CAP, False))})),
        ("FMA rate, two processes", Scripted(pair={"rate": said(rate_of(0.2))})),
        ("FMA rate, two processes", Scripted(pair={"busy": said(busy_of(0.2))})),
        ("devices", Scripted({"sees": said(Devices((OTHER,), ("another",)))})),
        ("devices", Scripted({"sees": said(Devices((), ()))})),
        ("namespaces", Scripted({"namespaces": said(Namespaces("ipc:[1]", str(HERE["pid"])))})),
        ("namespaces", Scripted({"namespaces": said(Namespaces(str(HERE["ipc"]), "pid:[2]"))})),
    ],
)
def test_what_a_session_gets_beside_its_share_fails_that_check_and_no_other(
    name: str, leak: Scripted
) -> None:
    # a plain measurement stands for itself: what a process changes is measured by itself
    for escape in ESCAPES:
        for what in ("memory", "rate", "sees"):
            leak.varied[what, str(escape.variation)] = GOOD[what]
    checks = verify(leak, EXPECTED, SESSION, WHOLE)
    assert named(checks, Verdict.FAILS) == {name}
    assert not passed(checks)


AIMED = [(escape, aim) for escape in ESCAPES for aim in escape.aims]


def leaking(escape: Escape, aim: Resource) -> Scripted:
    what, output = LEAKS[aim]
    return Scripted(varied={(what, str(escape.variation)): output})


@pytest.mark.parametrize(
    ("escape", "aim"), AIMED, ids=lambda value: str(getattr(value, "name", value))
)
def test_an_escape_that_works_fails_its_check_and_no_other(escape: Escape, aim: Resource) -> None:
    for enforcement in (SESSION, PROCESS):
        checks = verify(leaking(escape, aim), EXPECTED, enforcement, WHOLE)
        assert named(checks, Verdict.FAILS) == {f"{aim}, {escape.name}"}


@pytest.mark.parametrize(
    ("escape", "aim"), AIMED, ids=lambda value: str(getattr(value, "name", value))
)
def test_an_escape_that_costs_its_process_the_gpu_is_none(escape: Escape, aim: Resource) -> None:
    what, _ = LEAKS[aim]
    session = Scripted(varied={(what, str(escape.variation)): REFUSED})
    checks = verify(session, EXPECTED, SESSION, WHOLE)
    assert passed(checks)
    assert (
        "no GPU: cuInit: CUDA_ERROR_MPS_CONNECTION_FAILED"
        in measured(checks)[f"{aim}, {escape.name}"]
    )


def measured(checks: tuple[Check, ...]) -> dict[str, str]:
    return {check.name: check.measured for check in checks}


LEAKING = Scripted(
    {"memory": TOO_MUCH, "rate": said(rate_of(1.0)), "sms": said(Sms(132, 132, 132))},
    pair={"memory": TOO_MUCH, "rate": said(rate_of(0.2)), "busy": said(busy_of(0.2))},
)
ALWAYS = {"devices", "namespaces", "memory granted, device 0"} | {
    f"devices, {escape.name}" for escape in ESCAPES if Resource.DEVICES in escape.aims
}
TWO = {"memory cap, two processes", "FMA rate, two processes"}
PLAIN_CAPS = {"memory cap, device 0", "SMs, device 0", "FMA rate, device 0"}
ESCAPED = {f"{aim}, {escape.name}" for escape, aim in AIMED if aim is not Resource.DEVICES}


@pytest.mark.parametrize(
    ("enforcement", "claimed"),
    [
        (NOTHING, set()),
        (COOPERATIVE, PLAIN_CAPS),
        (PROCESS, PLAIN_CAPS | ESCAPED),
        (SESSION, PLAIN_CAPS | ESCAPED | TWO),
    ],
    ids=("nothing", "cooperative", "process", "session"),
)
def test_only_what_a_strategy_claims_can_fail(enforcement: Enforcement, claimed: set[str]) -> None:
    checks = verify(LEAKING, EXPECTED, enforcement, WHOLE)
    assert named(checks, Verdict.FAILS) == claimed
    assert named(checks, Verdict.HOLDS) == ALWAYS
    assert named(checks, Verdict.RECORDED) == (PLAIN_CAPS | ESCAPED | TWO) - claimed
    assert passed(checks) is not claimed or not claimed


def test_memory_and_compute_are_judged_by_their_own_levels() -> None:
    checks = verify(LEAKING, EXPECTED, Enforcement(Level.SESSION, Level.NONE), WHOLE)
    assert {name.partition(" ")[0].strip(",") for name in named(checks, Verdict.FAILS)} == {
        "memory"
    }


def test_the_hole_of_two_processes_is_recorded_with_its_size() -> None:
    session = Scripted(
        pair={"memory": GOOD["memory"], "busy": said(busy_of(0.2)), "rate": GOOD["rate"]}
    )
    checks = verify(session, EXPECTED, PROCESS, WHOLE)
    assert passed(checks)
    assert named(checks, Verdict.RECORDED) == TWO
    assert measured(checks)["memory cap, two processes"] == "15.5 GiB and 15.5 GiB at once"
    assert measured(checks)["FMA rate, two processes"] == "20.0% and 20.0% at once"


def test_a_second_process_that_gets_no_gpu_gets_nothing() -> None:
    session = Scripted(pair={"memory": REFUSED, "rate": REFUSED})
    checks = verify(session, EXPECTED, SESSION, WHOLE)
    assert passed(checks)
    assert measured(checks)["memory cap, two processes"] == "15.5 GiB and 0 B at once"
    assert measured(checks)["FMA rate, two processes"] == "the second got no GPU"


def test_a_small_cap_leaves_room_for_the_context() -> None:
    session = Scripted({"memory": said(Memory(1408 * MIB, 2 * GIB, refused=True))})
    checks = verify(session, replace(EXPECTED, memory_mib=2048), PROCESS, WHOLE)
    assert {c.name: c for c in checks}["memory granted, device 0"] == Check(
        "memory granted, device 0",
        "at least 1.37 GiB",
        "1.37 GiB, then refused",
        Verdict.HOLDS,
        claimed=True,
    )


def test_a_small_share_may_be_off_by_a_pair_of_sms() -> None:
    session = Scripted({"sms": said(Sms(6, 6, 6)), "rate": said(rate_of(6 / 132))})
    checks = verify(session, replace(EXPECTED, sm_percent=4), PROCESS, WHOLE)
    assert {"SMs, device 0", "FMA rate, device 0"} <= named(checks, Verdict.HOLDS)


def test_rates_are_compared_as_they_are_where_a_clock_is_not_known() -> None:
    assert WHOLE.share(33e12 / 2, 0.0) == 0.5
    assert WHOLE.share(33e12 / 2, 1.98e9 / 2) == 1.0


def test_each_device_of_a_session_is_measured() -> None:
    sees = said(Devices((OTHER, UUID), ("one", "another")))
    session = Scripted({"sees": sees})
    expected = replace(EXPECTED, devices=(f"GPU-{UUID}", f"GPU-{OTHER}"))
    checks = verify(session, expected, SESSION, WHOLE)
    assert passed(checks)
    assert {"memory cap, device 1", "SMs, device 1", "FMA rate, device 1"} <= set(measured(checks))
    assert {ask.what[1] for ask in session.asked if ask.what[0] == "sms"} == {"0", "1"}


def test_nothing_plain_is_measured_twice() -> None:
    session = Scripted()
    verify(session, EXPECTED, SESSION, WHOLE)
    asked = [str(ask) for ask in session.asked]
    assert len(asked) == len(set(asked))


def test_without_the_whole_device_compute_is_skipped() -> None:
    checks = verify(Scripted(), EXPECTED, SESSION, None)
    skipped = named(checks, Verdict.SKIPPED)
    assert skipped == {n for n in measured(checks) if n.startswith(("SMs", "FMA rate"))}
    assert not passed(checks), "what is claimed of compute was not tried"


def test_processes_of_the_host_are_not_judged_by_what_they_see() -> None:
    checks = verify(Scripted(contained=False), EXPECTED, SESSION, WHOLE)
    assert named(checks, Verdict.SKIPPED) == ALWAYS - {"memory granted, device 0"}


TROUBLE = {
    "a timeout": (Output(None, "", "still compiling"), "did not end in time; its log ends: still"),
    "nothing": (Output(0, ""), "the probe printed nothing and ended with code 0"),
    "a traceback": (Output(1, "", "Traceback\nKeyError: 'x'"), "its log ends: Traceback KeyError"),
    "words": (Output(0, "Segmentation fault\n"), "printed 'Segmentation fault'"),
    "a list": (Output(0, "[1]"), "printed '[1]'"),
    "another reading": (GOOD["namespaces"], "the probe printed"),
    "a negative number": (Output(0, '{"held": -1, "total": 1, "refused": true}'), "printed"),
    "a number as text": (Output(0, '{"held": "1", "total": 1, "refused": true}'), "printed"),
    "a truth as a number": (Output(0, '{"held": true, "total": 1, "refused": true}'), "printed"),
    "no number": (Output(0, '{"fmas": NaN, "clock": 1, "started": 1, "ended": 2}'), "printed"),
    "a reading and a failure": (replace(GOOD["memory"], code=1), "ended with code 1"),
    "a deep list": (Output(0, "[" * 100_000), "printed '[[["),
    "a fault": (Output(1, '{"failed": "cuCtxSynchronize: CUDA_ERROR_X (x)"}'), "CUDA_ERROR_X"),
    "no GPU": (REFUSED, "CUDA_ERROR_MPS_CONNECTION_FAILED"),
}


@pytest.mark.parametrize("trouble", TROUBLE)
def test_a_probe_without_a_reading_holds_nothing_and_is_told_of(trouble: str) -> None:
    output, words = TROUBLE[trouble]
    session = Scripted({"memory": output, "rate": output, "sms": output})
    checks = verify(session, EXPECTED, COOPERATIVE, WHOLE)
    failed = PLAIN_CAPS | {"memory granted, device 0"}
    assert named(checks, Verdict.FAILS) == failed
    assert not passed(checks)
    for name in failed:
        assert measured(checks)[name].startswith("not measured: ")
        assert words in measured(checks)[name]


def test_two_processes_without_a_reading_do_not_hold() -> None:
    for what in ("hold", "memory", "busy", "rate"):
        checks = verify(Scripted(pair={what: Output(None, "")}), EXPECTED, SESSION, WHOLE)
        assert len(named(checks, Verdict.FAILS) & TWO) == 1
    odd = Scripted(pair={"rate": said(replace(rate_of(0.1), ended=10.0))})
    assert (
        "in no time" in measured(verify(odd, EXPECTED, SESSION, WHOLE))["FMA rate, two processes"]
    )


def test_a_gpu_that_cannot_be_used_is_told_once() -> None:
    words = "libcuda.so.1 cannot be loaded"
    session = Scripted({"sees": Output(1, f'{{"failed": "{words}"}}')})
    checks = verify(session, EXPECTED, SESSION, WHOLE)
    assert checks[0] == Check("GPU", "one that can be used", words, Verdict.FAILS)
    assert {check.verdict for check in checks[1:]} == {Verdict.SKIPPED}
    assert not passed(checks)
    assert len(session.asked) == 1


def test_what_only_skipped_and_recorded_has_not_passed() -> None:
    assert not passed(())
    assert not passed(
        (Check("a", "b", "c", Verdict.RECORDED), Check("a", "b", "c", Verdict.SKIPPED))
    )


def test_the_whole_device_is_measured_or_the_reason_told() -> None:
    session = Scripted({"sms": said(Sms(132, 132, 132)), "rate": said(WHOLE.rate)})
    assert measure_whole(session) == WHOLE
    with pytest.raises(ProbeFailed, match="computed nothing"):
        measure_whole(Scripted({"rate": said(replace(WHOLE.rate, fmas=0.0))}))
    with pytest.raises(ProbeRefused, match="MPS_CONNECTION"):
        measure_whole(Scripted({"sms": REFUSED}))


def test_what_is_printed_before_a_reading_does_not_matter() -> None:
    output = Output(0, f"Welcome!\n\n{GOOD['memory'].text}\n")
    assert read(Memory, output) == Memory(HELD, CAP, refused=True)


def test_a_process_is_started_with_its_changes_and_without_a_shell() -> None:
    ask = Ask(("sees",), {"A": None, "B": "x; y", "C": None})
    assert ask.command("python3") == (
        *("env", "-u", "A", "-u", "C", "B=x; y"),
        *("python3", "-m", "bai_spawner.gpu.verify.probe", "sees"),
    )


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a libcuda.so.1."""
    if cuda.lacking():
        pytest.skip(cuda.lacking())
    return cuda.compiled(tmp_path_factory.mktemp("cuda"))


OnStub = Callable[..., ProcessRunner]


@pytest.fixture
def on_stub(library: Path) -> OnStub:
    """A runner whose probes find the stub, with its settings."""

    def runner(**settings: object) -> ProcessRunner:
        stub = {f"STUB_{name.upper()}": str(value) for name, value in settings.items()}
        return ProcessRunner(environment={**os.environ, "LD_LIBRARY_PATH": str(library), **stub})

    return runner


def test_a_probe_tells_the_devices_that_cuda_gives_it(on_stub: OnStub) -> None:
    found = Session(on_stub()).devices()
    assert found == Devices(("00010203-0405-0607-0809-0a0b0c0d0e0f",), ("Stub 7",))


@pytest.mark.parametrize(
    ("there", "asked", "held"),
    [
        (GIB, 2 * GIB, Memory(GIB, GIB, refused=True)),
        (GIB + MIB, 2 * GIB, Memory(GIB, GIB + MIB, refused=True)),
        (4 * GIB, 2 * GIB, Memory(2 * GIB, 4 * GIB, refused=False)),
        (4 * GIB, 0, Memory(0, 4 * GIB, refused=False)),
        (5, GIB, Memory(0, 5, refused=True)),
    ],
)
def test_a_probe_holds_what_it_can_up_to_a_bound_and_gives_all_back(
    there: int, asked: int, held: Memory, on_stub: OnStub, tmp_path: Path
) -> None:
    left = tmp_path / "left"
    assert Session(on_stub(memory=there, left=left)).memory(0, asked) == held
    assert left.read_text() == "0"


def test_a_probe_counts_the_sms_that_its_blocks_ran_on(on_stub: OnStub, tmp_path: Path) -> None:
    left = tmp_path / "left"
    assert Session(on_stub(sms=26, left=left)).sms(0) == Sms(26, 26, 26)
    assert left.read_text() == "0"


@pytest.mark.parametrize("rate", [5 * 10**10, 2 * 10**12, 10**14])
def test_a_probe_measures_how_fast_its_launches_end_and_none_takes_50_ms(
    rate: int, on_stub: OnStub
) -> None:
    found = Session(on_stub(rate=rate)).rate(0)
    # never more than there is; how much less is a matter of what else this machine does
    assert rate / 10 < found.fmas <= 1.1 * rate
    assert found.clock == 1.98e9
    assert found.ended - found.started >= 1.5


def test_two_processes_are_measured_at_the_same_time(on_stub: OnStub) -> None:
    busy, beside = Session(on_stub(rate=2_000_000_000_000)).rates_of_two(0)
    assert beside
    assert 2e11 < busy.during(beside) <= 2.2e12


def test_two_processes_share_a_cap_of_the_session_and_not_one_of_a_process(
    on_stub: OnStub, tmp_path: Path
) -> None:
    assert Session(on_stub(memory=GIB)).memory_of_two(0, GIB) == (GIB, GIB)
    shared = on_stub(memory=GIB, shared=tmp_path / "used")
    assert Session(shared).memory_of_two(0, GIB) == (GIB, 0)


def test_a_second_process_does_not_run_beside_one_that_is_never_ready(on_stub: OnStub) -> None:
    first, second = on_stub(context=46).beside(
        Ask(("hold", "0", "1", "9")), Ask(("memory", "0", "1"))
    )
    assert first.code == 1
    assert "CUDA_ERROR_DEVICE_UNAVAILABLE" in first.text
    assert second == Output(None, "", "not run: the other was never ready")


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({"init": 46}, ProbeRefused, r"cuInit: CUDA_ERROR_DEVICE_UNAVAILABLE \(in words\)"),
        ({"context": 46}, ProbeRefused, "cuDevicePrimaryCtxRetain: CUDA_ERROR_DEVICE_UNAVAILABLE"),
        ({"context": 12345}, ProbeRefused, r"error 12345 \(in words\)"),
        ({"fault": 46}, ProbeFailed, "cuCtxSynchronize: CUDA_ERROR_DEVICE_UNAVAILABLE"),
        ({"memory": 5}, ProbeFailed, "cuMemAlloc_v2: CUDA_ERROR_OUT_OF_MEMORY"),
    ],
)
def test_what_the_driver_refuses_is_told_by_its_own_name(
    settings: dict[str, int], error: type[ProbeFailed], words: str, on_stub: OnStub
) -> None:
    with pytest.raises(error, match=words) as caught:
        Session(on_stub(**settings)).sms(0)
    assert caught.type is error


def test_a_missing_driver_is_told_of(tmp_path: Path) -> None:
    (tmp_path / "libcuda.so.1").write_bytes(b"no library")
    runner = ProcessRunner(environment={**os.environ, "LD_LIBRARY_PATH": str(tmp_path)})
    checks = verify(runner, EXPECTED, SESSION, WHOLE)
    assert checks[0].verdict is Verdict.FAILS
    assert "libcuda.so.1 cannot be loaded" in checks[0].measured
    assert "has no NVIDIA driver" in checks[0].measured


def test_a_driver_that_is_too_old_is_told_of(tmp_path: Path) -> None:
    compiler = shutil.which("cc") or pytest.skip("there is no C compiler")
    (tmp_path / "old.c").write_text("int cuInit(unsigned int flags) { return 0; }")
    subprocess.run([compiler, "-shared", "-o", "libcuda.so.1", "old.c"], cwd=tmp_path, check=True)
    old = {**os.environ, "LD_LIBRARY_PATH": str(tmp_path)}
    with pytest.raises(ProbeFailed, match="has no cuGetErrorName; a driver for CUDA"):
        Session(ProcessRunner(environment=old)).devices()


def test_a_probe_that_is_ended_gives_back_what_it_holds(library: Path, tmp_path: Path) -> None:
    left = tmp_path / "left"
    environment = {"LD_LIBRARY_PATH": str(library), "STUB_LEFT": str(left)}
    with subprocess.Popen(
        [sys.executable, "-m", PROBE, "hold", "0", str(GIB), "60"],
        env={**os.environ, **environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as probe:
        assert probe.stdout
        assert probe.stdout.readline() == b'{"ready": true}\n'
        probe.send_signal(signal.SIGTERM)
        assert probe.stdout.read() == b""
    assert probe.returncode == 128 + signal.SIGTERM
    assert left.read_text() == "0"


def test_a_probe_holds_no_longer_than_was_asked(on_stub: OnStub) -> None:
    first, second = on_stub().beside(Ask(("hold", "0", str(GIB), "0.1")), Ask(("memory", "0", "0")))
    assert read(Memory, first).held == GIB
    assert second.code == 0


def test_a_probe_is_ended_when_its_time_is_over(on_stub: OnStub) -> None:
    output = on_stub().run(Ask(("rate", "0"), seconds=0.5))
    assert output.code is None
    with pytest.raises(ProbeFailed, match="did not end in time"):
        read(Rate, output)


def test_a_process_runs_in_what_its_user_changed(on_stub: OnStub) -> None:
    runner = on_stub(memory=GIB)
    assert Session(runner).memory(0, 2 * GIB).held == GIB
    more = Variation({"STUB_MEMORY": str(3 * GIB)})
    assert Session(runner).memory(0, 2 * GIB, more).held == 2 * GIB
    launched = Variation({}, {"STUB_MEMORY": str(3 * GIB)})
    assert Session(runner).memory(0, 2 * GIB, launched).held == 2 * GIB
    both = Variation({"STUB_MEMORY": None}, {"STUB_MEMORY": str(3 * GIB)})
    assert Session(runner).memory(0, 2 * GIB, both).held == GIB


HEADING = Heading("615.71.05", "NVIDIA H100 80GB HBM3", "mps-v2", dt.date(2026, 9, 30))
CHECKS = (
    Check("memory cap, device 0", "at most 16 GiB", "15.5 GiB, then refused", Verdict.HOLDS),
    Check("devices", "a", "b|c\nd", Verdict.FAILS),
)


def test_a_table_for_a_terminal_is_aligned() -> None:
    assert plain(HEADING, CHECKS) == textwrap.dedent("""\
        mps-v2 on NVIDIA H100 80GB HBM3, driver 615.71.05, 2026-09-30

        check                 expected        measured                verdict
        --------------------  --------------  ----------------------  -------
        memory cap, device 0  at most 16 GiB  15.5 GiB, then refused  holds
        devices               a               b|c d                   FAILS""")


def test_a_table_for_a_page_is_markdown() -> None:
    assert markdown(HEADING, CHECKS) == textwrap.dedent("""\
        **mps-v2 on NVIDIA H100 80GB HBM3, driver 615.71.05, 2026-09-30**

        | check | expected | measured | verdict |
        | --- | --- | --- | --- |
        | memory cap, device 0 | at most 16 GiB | 15.5 GiB, then refused | holds |
        | devices | a | b\\|c d | FAILS |""")
