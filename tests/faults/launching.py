"""Starts an admitted session as the spawner does, without a hub's pages."""

from __future__ import annotations

from collections.abc import Mapping

from bai_spawner.container import ContainerSpec, Placing, build_spec
from bai_spawner.folders import FolderMount
from bai_spawner.lifecycle import Start
from bai_spawner.runtime import BaiRuntime, Launch
from tests.images import PORT


async def start(runtime: BaiRuntime, network: str, launch: Launch, *, seconds: float = 30) -> None:
    """Make the session and return when it answers.

    Raises:
        BaiError: it did not become one; what was made is removed.
    """

    def spec(mounts: tuple[FolderMount, ...], _: Mapping[str, str]) -> ContainerSpec:
        gpus = runtime.gpus.attachment(launch.allocation)
        placing = Placing(hub=runtime.hub_id, network=network, stop_timeout=0)
        return build_spec(
            launch.grant, launch.allocation, mounts, placing, gpus=gpus, environment={}
        )

    asked = Start(
        key=launch.key,
        allocation=launch.allocation.id,
        mounts=launch.mounts,
        make_folders=False,
        make_spec=spec,
        image=launch.grant.image,
        port=PORT,
        path="/api",
        seconds=seconds,
    )
    await runtime.lifecycle.start(asked, lambda _: None)
