"""``bai-spawner gpu verify``: start sessions on an idle GPU, and try to get more than granted.

Under ten minutes. It changes neither compute mode nor clocks nor a layout of MIG, and its
probes end by themselves. The sessions are containers like any other's, and count like them.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

from bai_spawner.catalog import Catalog
from bai_spawner.commands.arguments import Arguments, WrongArgument, fgpu
from bai_spawner.container import ContainerSpec, Placing, build_spec
from bai_spawner.engine import Engine
from bai_spawner.errors import BaiError
from bai_spawner.gpu.device import Device
from bai_spawner.gpu.fleet import Fleet, Offered, Survey
from bai_spawner.gpu.inventory import Nvml
from bai_spawner.gpu.isolation import Attachment, Bind, Injection, Started
from bai_spawner.gpu.share import sm_percent
from bai_spawner.gpu.verify.checks import Expected, Whole, measure_whole, passed, verify
from bai_spawner.gpu.verify.readings import Output
from bai_spawner.gpu.verify.runner import Ask, Changes, ProcessRunner
from bai_spawner.gpu.verify.table import Heading, markdown, plain
from bai_spawner.labels import GpuCap, Share
from bai_spawner.ledger import Allocation
from bai_spawner.policy import Amounts, Grant
from bai_spawner.units import GIB

PYTHON = "python3"
PACKAGE = Path(__file__).parents[1]
SEEN = "/opt/bai-verify"
"""Where a session finds this package for its probes: no image need have it."""
MEMORY = 4 * GIB


class CannotVerify(BaiError):
    """The checks cannot be made here now. The message says why, and what to do."""


def run(said: Arguments) -> int:
    """Print the table; 0 when everything that the strategy claims was seen to hold."""
    return asyncio.run(_run(said))


async def _run(said: Arguments) -> int:
    gpu = said.catalog.gpu
    alone = gpu.model_copy(update={"isolation": said.strategy, "simulated": (), "drain": ()})
    catalog = said.catalog.model_copy(update={"gpu": alone})
    engine = Engine(threads=4)
    try:
        fleet = Fleet(catalog, Nvml())
        survey = fleet.survey((await engine.info()).cgroup)
        offer = _device(survey, said.device)
        await _idle(engine, offer.device)
        return await _verify(said, catalog, fleet, engine, offer, survey)
    finally:
        engine.close()


def _device(survey: Survey, asked: str) -> Offered:
    """The device to try.

    Raises:
        CannotVerify: there is none on which the strategy can work.
    """
    if not survey.offers:
        raise CannotVerify(survey.inventory.problem or "this host has no GPU")
    found = [offer for offer in survey.offers if asked in ("", offer.device.uuid)]
    if not found:
        there = ", ".join(offer.device.uuid for offer in survey.offers)
        raise WrongArgument(f"--device {asked}: there is none; there are: {there}")
    if usable := next((offer for offer in found if not offer.terms.note), None):
        return usable
    raise CannotVerify("; ".join(f"{o.device.uuid}: {o.terms.note}" for o in found))


async def _idle(engine: Engine, device: Device) -> None:
    """See that no session is on a device, of whatever hub.

    Raises:
        CannotVerify: there is one.
    """
    for container in await engine.everyone():
        session = container.session()
        shares = session.shares if session and container.holds else ()
        if any(share.device == device.uuid for share in shares):
            raise CannotVerify(
                f"{container.name} has a share of {device.uuid}: end its session first, or"
                " choose another with --device"
            )


async def _verify(
    said: Arguments,
    catalog: Catalog,
    fleet: Fleet,
    engine: Engine,
    offer: Offered,
    survey: Survey,
) -> int:
    terms, uuid, per_gpu = offer.terms, offer.device.uuid, catalog.gpu.quanta_per_gpu
    quanta = said.quanta() or terms.size or 1
    if terms.size not in (None, quanta):
        size = fgpu(catalog, terms.size or 0)
        raise WrongArgument(f"--share {said.share}: {uuid} is divided into parts of {size}")
    strategy = fleet.strategies[terms.isolation]
    cap = GpuCap(
        terms.isolation, terms.memory(quanta), sm_percent(quanta, per_gpu), terms.enforcement
    )
    capped = Attachment((uuid,), uuid, strategy.inject((uuid,), cap))
    held = Allocation(
        secrets.token_hex(8), "gpu-verify", "gpu-verify", "verify", "verify", "verify", 2, MEMORY,
        (Share(uuid, per_gpu, per_gpu),), cap,
    )  # fmt: skip
    # all of the GPU is held meanwhile: what ran beside would spoil both
    stage = _Stage(engine, said.image or _first_image(catalog), catalog, held)
    whole = await stage.whole(offer) if not offer.device.exclusive else None
    async with stage.session(capped) as container:
        state = await engine.inspect(container)
        started = Started(container, state.pid if state else 0, (uuid,), cap)
        if mismatch := await asyncio.to_thread(strategy.mismatch, started):
            raise CannotVerify(f"what should be in force is not: {mismatch}")
        runner = _SessionRunner(container, stage, capped, asyncio.get_running_loop())
        expected = Expected(cap.memory, cap.sm, (uuid,))
        checks = await asyncio.to_thread(verify, runner, expected, cap.enforcement, whole)
        await asyncio.to_thread(strategy.release, started)
    heading = Heading(
        survey.inventory.driver, offer.device.title, strategy.name, dt.datetime.now(dt.UTC).date()
    )
    print((markdown if said.markdown else plain)(heading, checks))
    if untried := [check.name for check in checks if check.untried]:
        print(f"\nClaimed and not tried: {', '.join(untried)}.")
    return 0 if passed(checks) else 1


def _first_image(catalog: Catalog) -> str:
    environment = next(iter(catalog.environments.values()))
    return environment.versions[environment.newest_first()[0]].image


class _Stage:
    """Makes the sessions of one verification, and ends them."""

    def __init__(self, engine: Engine, image: str, catalog: Catalog, held: Allocation) -> None:
        self._engine, self._image, self._catalog, self._held = engine, image, catalog, held

    @asynccontextmanager
    async def session(self, gpus: Attachment, launch: Changes | None = None) -> AsyncIterator[str]:
        """A container that waits; ``launch`` is what its image or user would have it be told."""
        container = await self._engine.create(self._spec(gpus, launch or {}))
        try:
            await self._engine.start(container)
            yield container
        finally:
            await self._engine.remove(container)

    async def whole(self, offer: Offered) -> Whole | None:
        """The device without a cap; ``None`` where there is no such thing, as under MIG."""
        uuid = offer.device.uuid
        if offer.device.profile:
            return None
        async with self.session(Attachment((uuid,), uuid, Injection())) as container:
            runner = ProcessRunner(("docker", "exec", "-i", container), PYTHON, contained=True)
            return await asyncio.to_thread(measure_whole, runner)

    def _spec(self, gpus: Attachment, launch: Changes) -> ContainerSpec:
        grant = Grant(
            user="gpu-verify", session="verify", environment="verify", version="", group="verify",
            image=self._image, default_url="/", nodes=(), policy="verify", preset=None,
            amounts=Amounts(2, MEMORY, GIB, self._held.quanta), quantum=Decimal(1),
            per_gpu=self._catalog.gpu.quanta_per_gpu,
        )  # fmt: skip
        server = f"verify-{secrets.token_hex(4)}"
        held = Allocation(
            secrets.token_hex(8), self._held.user, server, server, "verify", "verify", 2, MEMORY,
            self._held.shares, self._held.gpu,
        )  # fmt: skip
        told = {name: value for name, value in launch.items() if value is not None}
        told["PYTHONPATH"] = SEEN
        probes = Bind(PACKAGE, f"{SEEN}/{PACKAGE.name}")
        binds = (*gpus.injection.binds, probes)
        gpus = replace(gpus, injection=replace(gpus.injection, binds=binds))
        placing = Placing(hub="gpu-verify", network="none")
        wait = ("sleep", "3600")
        return build_spec(grant, held, (), placing, gpus=gpus, environment=told, command=wait)


class _SessionRunner:
    """Runs probes as processes of a session; where its launch is to change, in another one."""

    contained = True

    def __init__(
        self, container: str, stage: _Stage, gpus: Attachment, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._stage, self._gpus, self._loop = stage, gpus, loop
        self._plain = ProcessRunner(("docker", "exec", "-i", container), PYTHON, contained=True)

    def run(self, ask: Ask) -> Output:
        """Run one, alone."""
        if not ask.launch:
            return self._plain.run(ask)
        other = asyncio.run_coroutine_threadsafe(self._elsewhere(ask), self._loop)
        return other.result()

    async def _elsewhere(self, ask: Ask) -> Output:
        async with self._stage.session(self._gpus, ask.launch) as container:
            runner = ProcessRunner(("docker", "exec", "-i", container), PYTHON, contained=True)
            return await asyncio.to_thread(runner.run, Ask(ask.what, ask.process, {}, ask.seconds))

    def beside(self, first: Ask, second: Ask) -> tuple[Output, Output]:
        """Run two at once."""
        return self._plain.beside(first, second)
