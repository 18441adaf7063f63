"""``bai-spawner gpu``: what it prints on a host of the stub's GPUs, and how it ends."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from bai_spawner.commands import main, probe, setup
from bai_spawner.commands.arguments import Arguments, WrongArgument, comes_to
from bai_spawner.engine import EngineInfo
from bai_spawner.errors import EngineError
from bai_spawner.gpu.device import Device, Inventory, Kind
from bai_spawner.units import GIB, MIB
from tests import nvml
from tests.examples import catalog_data, small_catalog
from tests.nvml import FakeGpu, FakeMig

ENVIRONMENTS = {"e": {"title": "e", "versions": {"1": {"image": "x"}}}}
POLICIES = [{"name": "everyone"}]
DOCKER = "# Docker gives containers GPUs through NVIDIA's"
STRATEGIES = ("whole", "mig", "memcap", "mps-v2", "timeslice")
USABLE = 79 * 1024
GPUS = (FakeGpu("GPU-aaaa"), FakeGpu("GPU-bbbb", model="NVIDIA L4", memory=24 * GIB))

# the library is found when a process starts, so another process has to ask; what it runs
# beside the commands is none of theirs
_ASK = """
import contextlib, io, json, os, subprocess, sys
import pynvml
ran = []
real = subprocess.run
def run(command, *args, **more):
    ran.append(command[0])
    assert command[1:] == ["--version"], command
    return real(command, *args, **more)
def explode(*args, **more):
    raise AssertionError(f"it runs {args}")
subprocess.run, os.system, os.popen = run, explode, explode
from bai_spawner.commands import main, probe
from bai_spawner.engine import EngineInfo
async def engine_info():
    return EngineInfo(4, 8 * 2**30, "28.2.2", "2", cdi=True)
probe.engine_info = engine_info
answers = []
for state, arguments in json.load(sys.stdin):
    os.environ["BAI_NVML_STATE"] = state
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(arguments)
    answers.append([code, out.getvalue(), err.getvalue()])
    # each command has a process of its own, which lets go of the driver as it ends
    with contextlib.suppress(pynvml.NVMLError):
        while True:
            pynvml.nvmlShutdown()
json.dump([answers, ran], sys.stdout)
"""


def catalog(tmp_path: Path, **gpu: Any) -> str:
    """A file with these keys of ``gpu``."""
    path = tmp_path / f"catalog{len(list(tmp_path.iterdir()))}.yaml"
    data = catalog_data(
        gpu={"fgpu_per_gpu": 5, "isolation": "timeslice"} | gpu,
        presets={},
        environments=ENVIRONMENTS,
        policies=POLICIES,
    )
    path.write_text(yaml.safe_dump(data))
    return str(path)


Answers = Mapping[str, tuple[int, str, str]]


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> Answers:
    """What each of some commands ended with and printed, in one process with the stub."""
    if why := nvml.lacking():
        pytest.skip(why)
    folder = tmp_path_factory.mktemp("commands")
    file = catalog(folder)
    worth = catalog(folder, isolation="auto", mig={"1g.10gb": 1})
    ready, mig, none = (str(folder / name) for name in ("ready", "mig", "unloaded"))
    nvml.write_state(Path(ready), GPUS)
    nvml.write_state(Path(mig), [FakeGpu("GPU-aaaa", mig=(FakeMig("MIG-aaaa"),))])
    asked = {
        **{name: (ready, ["gpu", "setup", name, "--catalog", file]) for name in STRATEGIES},
        "mps-v2 of two": (
            ready,
            ["gpu", "setup", "mps-v2", "--share", "2", "--catalog", file],
        ),
        "nothing there": (none, ["gpu", "setup", "mps-v2", "--catalog", file]),
        "wrong share": (ready, ["gpu", "setup", "mps-v2", "--share", "6", "--catalog", file]),
        "probe": (ready, ["gpu", "probe", "--catalog", file]),
        "probe of mig": (mig, ["gpu", "probe", "--catalog", worth]),
        "probe of nothing": (none, ["gpu", "probe", "--catalog", file]),
        "probe of memcap": (
            ready,
            ["gpu", "probe", "--catalog", catalog(folder, isolation="memcap")],
        ),
    }
    done = subprocess.run(
        [sys.executable, "-c", _ASK],
        input=json.dumps(list(asked.values())),
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
        env=os.environ | nvml.environment("new", folder / "ready") | {"PATH": str(folder)},
    )
    assert done.returncode == 0, done.stderr
    answers, ran = json.loads(done.stdout)
    assert set(ran) <= {"nvidia-container-runtime", "nvidia-ctk"}, (
        "nothing but the version is asked"
    )
    return dict(zip(asked, map(tuple, answers), strict=True))


# ---- setup ----------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_what_a_strategy_needs_is_printed_and_not_done(said: Answers, strategy: str) -> None:
    code, out, err = said[strategy]
    assert (code, err) == (0, "")
    first, *_ = out.splitlines()
    assert first == f"# What {strategy} needs on this host. Nothing of it was done."
    assert f"#     isolation: {strategy}\n" in out
    assert out.endswith("bai-spawner gpu probe\n")
    assert "apt-get install -y nvidia-container-toolkit" in out
    assert "No GPU was found" not in out


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_what_is_printed_is_a_script_that_a_shell_can_read(said: Answers, strategy: str) -> None:
    read = subprocess.run(["sh", "-n"], input=said[strategy][1], text=True, check=False)
    assert read.returncode == 0


@pytest.mark.parametrize(
    ("strategy", "lines"),
    [
        ("whole", ["nvidia-smi -i GPU-aaaa -c DEFAULT", "nvidia-smi -i GPU-bbbb -c DEFAULT"]),
        ("timeslice", ["nvidia-smi -i GPU-aaaa -c DEFAULT", "nvidia-smi -i GPU-bbbb -c DEFAULT"]),
        (
            "mig",
            [
                "nvidia-smi mig -lgip",
                "nvidia-smi -i GPU-aaaa -mig 1",
                "nvidia-smi -i GPU-bbbb -mig 1",
            ],
        ),
        (
            "memcap",
            [
                "# NVIDIA's driver 615 or newer, and a kernel with control groups v2",
                f"{DOCKER} container toolkit, 1.20.1 or newer.",
                "# GPU-aaaa: 1 fGPU = 1/5 of a GPU: 15.79 GiB, 20 % of the multiprocessors",
                "# GPU-bbbb: 1 fGPU = 1/5 of a GPU: 4.59 GiB, 20 % of the multiprocessors",
            ],
        ),
        (
            "mps-v2",
            [
                "# One daemon for each GPU, and one size of share: 1 fGPU.",
                "# GPU-aaaa: 1 fGPU = 1/5 of a GPU: 15.79 GiB, 20 % of the multiprocessors",
                f"printf 'PERCENT=20\\nMEMORY={USABLE // 5}M\\n' > /etc/bai-mps/GPU-aaaa",
                f"printf 'PERCENT=20\\nMEMORY={23 * 1024 // 5}M\\n' > /etc/bai-mps/GPU-bbbb",
                "systemctl enable --now bai-mps@GPU-aaaa",
                "systemctl enable --now bai-mps@GPU-bbbb",
                "Environment=CUDA_MPS_PIPE_DIRECTORY=/run/bai-mps/%i/pipe",
                "ExecStartPre=/usr/bin/nvidia-smi -i %i -c EXCLUSIVE_PROCESS",
            ],
        ),
        (
            "mps-v2 of two",
            [
                "# One daemon for each GPU, and one size of share: 2 fGPU.",
                "# GPU-aaaa: 2 fGPU = 2/5 of a GPU: 31.59 GiB, 40 % of the multiprocessors",
                f"printf 'PERCENT=40\\nMEMORY={USABLE * 2 // 5}M\\n' > /etc/bai-mps/GPU-aaaa",
                f"printf 'PERCENT=40\\nMEMORY={23 * 1024 * 2 // 5}M\\n' > /etc/bai-mps/GPU-bbbb",
            ],
        ),
        (
            "nothing there",
            [
                "# No GPU was found here: where <uuid> stands, put what `nvidia-smi -L` tells.",
                "systemctl enable --now bai-mps@<uuid>",
            ],
        ),
    ],
)
def test_the_script_has_this_hosts_devices_and_the_shares_numbers(
    said: Answers, strategy: str, lines: list[str]
) -> None:
    printed = said[strategy][1].splitlines()
    assert [line for line in lines if line not in printed] == []


def test_a_share_that_is_none_is_refused_in_words(said: Answers) -> None:
    code, out, err = said["wrong share"]
    assert (code, err) == (1, "error: --share 6: must be more than 0, at most 5\n")
    assert "PERCENT" not in out


@pytest.mark.parametrize(
    ("share", "told"),
    [
        ("0", "must be more than 0, at most 5"),
        ("5.5", "must be more than 0, at most 5"),
        ("0.3", "must be a multiple of 0.5"),
        ("-1", "must be a number between 0 and"),
        ("1e1", "must be a number between 0 and"),
        ("one", "must be a number between 0 and"),
        ("\N{ARABIC-INDIC DIGIT ONE}", "must be a number between 0 and"),
        ("9" * 10_000, "must be a number between 0 and"),
    ],
)
def test_every_share_that_is_no_part_of_one_gpu_is_refused(share: str, told: str) -> None:
    arguments = Arguments(small_catalog(gpu={"fgpu_per_gpu": 5, "quantum": "0.5"}), share=share)
    with pytest.raises(WrongArgument) as refused:
        arguments.quanta()
    assert told in str(refused.value)
    assert str(refused.value).startswith("--share ")


def test_a_share_is_told_as_a_part_in_memory_and_in_percent() -> None:
    catalog = small_catalog(gpu={"fgpu_per_gpu": 5, "quantum": "0.5"})
    assert Arguments(catalog).quanta() == 0
    assert Arguments(catalog, share="2.5").quanta() == 5
    told = comes_to(catalog, 5, USABLE, 10)
    assert told == "2.5 fGPU = 1/2 of a GPU: 39.5 GiB, 50 % of the multiprocessors"


def test_devices_of_mig_do_not_hide_that_a_gpu_is_there() -> None:
    """A GPU that MIG divides is seen as its parts alone; it is there all the same."""
    part = Device("MIG-a", 0, "H100", 9984 * MIB, Kind.MIG, parent="GPU-mmmm", profile="1g.10gb")
    lines = list(setup.script(Arguments(small_catalog(), strategy="mig"), (part,), ""))
    assert not any("No GPU was found here" in line for line in lines)


# ---- arguments ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["gpu"],
        ["gpu", "setup"],
        ["gpu", "setup", "magic"],
        ["gpu", "setup", "simulated"],
        ["gpu", "setup", "auto"],
        ["gpu", "verify"],
        ["gpu", "probe", "--share", "1"],
        ["gpu", "reset"],
        ["cpu", "probe"],
        ["gpu", "setup", "mig", "--catalog"],
    ],
)
def test_wrong_arguments_end_with_status_2_and_say_what_there_is(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "usage: bai-spawner" in capsys.readouterr().err


def test_a_catalogue_that_is_not_there_is_told_with_its_path(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = str(tmp_path / "nowhere.yaml")
    for arguments in (["gpu", "setup", "mig"], ["gpu", "probe"], ["gpu", "verify", "mig"]):
        assert main([*arguments, "--catalog", missing]) == 1
        told = capsys.readouterr()
        assert told.err == f"error: {missing}: cannot be read: No such file or directory\n"
        assert told.out == ""
    monkeypatch.setenv("BAI_CATALOG", missing)
    assert main(["gpu", "probe"]) == 1
    assert missing in capsys.readouterr().err
    monkeypatch.delenv("BAI_CATALOG")
    monkeypatch.chdir(tmp_path)
    assert main(["gpu", "probe"]) == 1
    assert "error: catalog.yaml: cannot be read" in capsys.readouterr().err


def test_a_catalogue_with_a_mistake_is_told_with_the_key(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["gpu", "probe", "--catalog", catalog(tmp_path, isolation="magic")]) == 1
    assert "gpu.isolation: " in capsys.readouterr().err


# ---- probe ----------------------------------------------------------------------------


def test_a_host_whose_gpus_are_handed_out_is_told_and_found_well(said: Answers) -> None:
    code, out, err = said["probe"]
    assert (code, err) == (0, "")
    for line in (
        "  driver         615.71.05 (CUDA 13.4)",
        "  memory limits  by control group",
        "  toolkit        nvidia-container-toolkit is not here",
        "  engine         Docker 28.2.2, control groups v2, CDI is on",
        "  isolation      timeslice",
        "  units          a GPU is 5 fGPU",
        "GPU-aaaa: NVIDIA H100 80GB HBM3, 80 GiB, compute mode DEFAULT",
        "  handed out     under timeslice, 5 fGPU",
        "  enforced       memory: none, compute: none, faults: contexts",
        "  a share        1 fGPU = 1/5 of a GPU: 15.79 GiB, 20 % of the multiprocessors",
        "  memcap         no: nvidia-container-toolkit 1.20.1 is needed, found none",
    ):
        assert line in out.splitlines()
    assert "verified on hardware: never" in out


def test_what_cannot_be_handed_out_is_told_with_the_reason_and_found_wanting(
    said: Answers,
) -> None:
    code, out, _ = said["probe of memcap"]
    assert code == 1
    assert "  handed out     no: nvidia-container-toolkit 1.20.1 is needed, found none" in out


def test_a_mig_device_is_told_as_what_it_counts_as(said: Answers) -> None:
    code, out, _ = said["probe of mig"]
    assert code == 0
    assert "MIG-aaaa: NVIDIA H100 80GB HBM3 MIG 1g.10gb, 9.75 GiB" in out
    assert "  a share        1 fGPU = 1/5 of a GPU: 9.75 GiB" in out


def test_a_host_without_nvml_says_so_and_ends_with_status_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class NoDriver:
        def read(self) -> Inventory:
            return Inventory(problem="no NVIDIA driver is installed here")

    async def no_engine() -> EngineInfo | None:
        return None

    monkeypatch.setattr(probe, "Nvml", NoDriver)
    monkeypatch.setattr(probe, "engine_info", no_engine)
    assert main(["gpu", "probe", "--catalog", catalog(tmp_path)]) == 1
    out = capsys.readouterr().out
    assert "Not everything is known: no NVIDIA driver is installed here" in out
    assert "  driver         none" in out
    assert "  engine         no Docker engine answers" in out


def test_a_host_whose_driver_is_not_loaded_says_so(said: Answers) -> None:
    code, out, _ = said["probe of nothing"]
    assert code == 1
    assert "Not everything is known: the NVIDIA driver is installed and not loaded" in out


def test_an_engine_that_does_not_answer_is_none(monkeypatch: pytest.MonkeyPatch) -> None:

    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    assert asyncio.run(probe.engine_info()) is None


def test_an_engine_that_refuses_ends_the_command_in_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refused() -> EngineInfo | None:
        raise EngineError("permission denied")

    monkeypatch.setattr(probe, "engine_info", refused)
    assert main(["gpu", "probe", "--catalog", catalog(tmp_path)]) == 1
    assert capsys.readouterr().err == "error: permission denied\n"


def test_of_devices_that_are_not_there_no_strategy_is_said_to_hold(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def no_engine() -> EngineInfo | None:
        return None

    monkeypatch.setattr(probe, "engine_info", no_engine)
    file = catalog(tmp_path, simulated=[{"model": "H100", "count": 1}])
    assert main(["gpu", "probe", "--catalog", file]) == 0
    out = capsys.readouterr().out
    assert "SIMULATED-0: SIMULATED H100" in out
    assert "  handed out     under simulated, 5 fGPU" in out
    assert "yes (" not in out
