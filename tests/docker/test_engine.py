"""The engine adapter against the real engine: idempotent, and worded."""

from __future__ import annotations

from dataclasses import replace

import docker
import pytest

from bai_spawner.engine import Engine
from bai_spawner.errors import EngineAway, ImageMissing, NameTaken
from tests.docker.test_limits import spec_of


async def test_stopping_or_removing_what_is_gone_succeeds(engine: Engine) -> None:
    await engine.stop("bai-test-never-was", 1)
    await engine.remove("bai-test-never-was")
    assert await engine.inspect("bai-test-never-was") is None
    assert await engine.logs("bai-test-never-was", 5) == ""


async def test_a_leftover_of_ours_is_replaced(engine: Engine, hub_id: str, network: str) -> None:
    spec = spec_of("small", hub_id, network)
    first = await engine.create(spec)
    second = await engine.create(spec)
    assert first != second
    assert [state.id for state in await engine.list(hub_id)] == [second]


async def test_a_foreign_container_of_our_name_is_left_alone(
    engine: Engine, client: docker.DockerClient, hub_id: str, network: str
) -> None:
    spec = spec_of("small", hub_id, network)
    foreign = client.containers.create(spec.image, name=spec.name)
    try:
        with pytest.raises(NameTaken, match=spec.name):
            await engine.create(spec)
        foreign.reload()
    finally:
        foreign.remove()


async def test_an_image_that_is_not_there_is_named(
    engine: Engine, hub_id: str, network: str
) -> None:
    spec = replace(spec_of("small", hub_id, network), image="bai-test/absent:1")
    with pytest.raises(ImageMissing, match="bai-test/absent:1"):
        await engine.create(spec)
    assert await engine.list(hub_id) == []


async def test_labels_read_back_are_the_labels_written(
    engine: Engine, hub_id: str, network: str
) -> None:
    spec = spec_of("medium", hub_id, network)
    await engine.create(spec)
    (state,) = await engine.list(hub_id)
    session = state.session()
    assert session is not None
    assert (session.cpu, session.memory, session.shm) == (2, spec.memory, spec.shm)
    assert state.holds
    assert not state.running


async def test_an_exited_container_holds_nothing(engine: Engine, hub_id: str, network: str) -> None:
    container = await engine.create(spec_of("small", hub_id, network))
    await engine.start(container)
    await engine.stop(container, 0)
    (state,) = await engine.list(hub_id)
    assert not state.holds


async def test_an_engine_that_is_not_there_is_away() -> None:
    engine = Engine(client_kwargs={"base_url": "unix:///nowhere/docker.sock"})
    with pytest.raises(EngineAway, match="does not answer"):
        await engine.info()
    engine.close()
