"""The Docker engine, as few idempotent verbs on a pool of threads.

This is the only module that knows docker-py. Every call runs on a thread of a
pool of its own, so a slow one holds up no other user, and every failure becomes
one of our types: `EngineAway` when nothing may be concluded, `EngineError` with
the engine's own words otherwise. What is already so is success: removing what is
gone, stopping what has stopped.

The client is made at the first call that needs it and made anew after the engine
was away, so a hub may start before its engine.
"""

from __future__ import annotations

import asyncio
import io
import tarfile
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, TypeVar

import docker
import requests
from docker.errors import APIError, DockerException
from docker.types import LogConfig, Mount
from docker.utils import kwargs_from_env, parse_repository_tag

from bai_spawner import labels
from bai_spawner.container import GID, UID, ContainerSpec
from bai_spawner.errors import (
    EngineAway,
    EngineError,
    ImageMissing,
    LabelError,
    NameTaken,
    shown,
)
from bai_spawner.labels import SessionLabels

T = TypeVar("T")

LOG_BYTES = 10 * 1024 * 1024
HOLDING = frozenset({"created", "running", "paused", "restarting", "removing"})
"""States in which a container holds what its labels say; an exited one holds nothing."""


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What the engine's host has: cores and bytes."""

    cpu: int
    memory: int
    version: str


@dataclass(frozen=True, slots=True)
class ContainerState:
    """A container as the engine sees it. ``address`` is its address on the deployment's network."""

    id: str
    name: str
    status: str
    exit_code: int
    oom_killed: bool
    error: str
    address: str
    labels: Mapping[str, str]

    @property
    def running(self) -> bool:
        """Whether its processes run (a paused one counts: it can go on)."""
        return self.status in {"running", "paused", "restarting"}

    @property
    def holds(self) -> bool:
        """Whether it holds what its labels say."""
        return self.status in HOLDING

    def session(self) -> SessionLabels | None:
        """Its labels, when they are a session's."""
        try:
            return labels.decode(self.labels)
        except LabelError:
            return None


class Engine:
    """One Docker engine.

    Args:
        threads: calls that may run at once.
        timeout: seconds that one call may take before the engine counts as away.
        client_kwargs: for `docker.APIClient`; by default what ``DOCKER_HOST`` and the like say.
    """

    def __init__(
        self,
        *,
        threads: int = 16,
        timeout: float = 60,
        client_kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        self.executor = ThreadPoolExecutor(threads, thread_name_prefix="engine")
        self._kwargs = {
            "version": "auto",
            "timeout": timeout,
            "max_pool_size": threads,
            **kwargs_from_env(),
            **(client_kwargs or {}),
        }
        self._client: docker.APIClient | None = None
        self._making = threading.Lock()

    async def info(self) -> EngineInfo:
        """What the host has."""
        found = await self._call(lambda client: client.info())
        return EngineInfo(int(found["NCPU"]), int(found["MemTotal"]), str(found["ServerVersion"]))

    async def has_image(self, image: str) -> bool:
        """Whether an image is on the engine, under whatever reference."""

        def inspect(client: docker.APIClient) -> object:
            return _unless_gone(lambda: client.inspect_image(image))  # type: ignore[no-untyped-call]

        return await self._call(inspect) is not None

    async def pull(self, image: str) -> None:
        """Fetch an image.

        Raises:
            ImageMissing: when it cannot be had.
        """
        repository, tag = parse_repository_tag(image)
        try:
            await self._call(lambda client: client.pull(repository, tag=tag or "latest"))
        except EngineAway:
            raise
        except EngineError as error:
            raise ImageMissing(f"image {shown(image)} cannot be pulled: {error}") from error

    async def create(self, spec: ContainerSpec) -> str:
        """Create a container and put its files in place; its id.

        A container of ours that still holds the name is what an earlier start left
        behind: it is replaced.

        Raises:
            NameTaken: a container that is not ours holds the name; it is left alone.
            ImageMissing: the image is not on the engine.
        """
        return await self._call(lambda client: _create(client, spec))

    async def start(self, container: str) -> None:
        """Start it; a container that runs already is left alone."""
        await self._call(lambda client: client.start(container))

    async def inspect(self, container: str) -> ContainerState | None:
        """What it is doing, or ``None`` when there is none."""
        return await self._call(lambda client: _inspect(client, container))

    async def stop(self, container: str, grace: int) -> None:
        """Ask it to end and kill it after ``grace`` seconds; gone or ended is success."""
        await self._call(lambda client: _unless_gone(lambda: client.stop(container, timeout=grace)))

    async def remove(self, container: str) -> None:
        """Kill and remove it; when this returns it is gone, whoever removed it."""
        await self._call(lambda client: _remove(client, container))

    async def logs(self, container: str, lines: int) -> str:
        """The end of what it printed; empty when it is gone."""
        raw = await self._call(
            lambda client: _unless_gone(lambda: client.logs(container, tail=lines))
        )
        return (raw or b"").decode("utf-8", "replace")

    async def list(self, hub: str) -> list[ContainerState]:
        """Every container of a deployment, whatever it is doing."""
        return await self._call(lambda client: _list(client, hub))

    async def _call(self, work: Callable[[docker.APIClient], T]) -> T:
        """Run ``work`` on a thread, its failures worded as ours."""
        return await asyncio.wrap_future(self.executor.submit(self._run, work))

    def _run(self, work: Callable[[docker.APIClient], T]) -> T:
        try:
            return work(self.client)
        except APIError as error:
            raise EngineError(_words(error)) from error
        except (DockerException, requests.RequestException) as error:
            self._forget_client()
            raise EngineAway(f"the Docker engine does not answer ({_cause(error)})") from error

    @property
    def client(self) -> docker.APIClient:
        """The client, made at first need. It asks the engine for its version: call off the loop."""
        with self._making:
            if self._client is None:
                self._client = docker.APIClient(**self._kwargs)
            return self._client

    def _forget_client(self) -> None:
        with self._making:
            if self._client is not None:
                self._client.close()
            self._client = None

    def close(self) -> None:
        """Let the threads end, calls under way first, and close the connections."""
        self.executor.shutdown(cancel_futures=True)
        self._forget_client()


def _create(client: docker.APIClient, spec: ContainerSpec) -> str:
    try:
        created = _post(client, spec)
    except APIError as error:
        if error.status_code == HTTPStatus.NOT_FOUND:
            raise ImageMissing(
                f"image {shown(spec.image)} is not on the engine; "
                "an administrator must build or pull it"
            ) from error
        if error.status_code != HTTPStatus.CONFLICT:
            raise
        _clear_name(client, spec)
        created = _post(client, spec)
    if spec.files:
        try:
            client.put_archive(created, "/", _archive(spec))
        except APIError:
            _remove(client, created)
            raise
    return created


def _post(client: docker.APIClient, spec: ContainerSpec) -> str:
    created = client.create_container(
        image=spec.image,
        name=spec.name,
        hostname=spec.hostname,
        command=list(spec.command) if spec.command else None,
        user=spec.user,
        working_dir=spec.working_dir,
        environment=dict(spec.environment),
        labels=dict(spec.labels),
        stop_timeout=spec.stop_timeout,
        host_config=_host_config(client, spec),
    )
    return str(created["Id"])


def _host_config(client: docker.APIClient, spec: ContainerSpec) -> dict[str, Any]:
    return client.create_host_config(
        auto_remove=False,  # else a session that dies early takes its log along
        cap_drop=["ALL"],
        cpu_period=spec.cpu_period,
        cpu_quota=spec.cpu_quota,
        init=True,
        ipc_mode="private",
        log_config=LogConfig(type="json-file", config={"max-size": str(LOG_BYTES)}),
        mem_limit=spec.memory,
        memswap_limit=spec.memory,
        mounts=[
            Mount(m.target, str(m.source), type="bind", read_only=m.read_only) for m in spec.mounts
        ],
        network_mode=spec.network,
        pids_limit=spec.pids,
        privileged=False,
        restart_policy={"Name": "no"},
        security_opt=["no-new-privileges"],
        shm_size=spec.shm,
    )


def _archive(spec: ContainerSpec) -> bytes:
    """The spec's files as the tar that the engine unpacks at ``/``."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for file in spec.files:
            entry = tarfile.TarInfo(file.path.lstrip("/"))
            entry.size, entry.mode, entry.uid, entry.gid = len(file.content), file.mode, UID, GID
            tar.addfile(entry, io.BytesIO(file.content))
    return packed.getvalue()


def _clear_name(client: docker.APIClient, spec: ContainerSpec) -> None:
    """Remove the leftover of ours that holds the name.

    Raises:
        NameTaken: it is not ours: another hub's, or nobody's.
    """
    found = _inspect(client, spec.name)
    if found is None:
        return
    if found.labels.get(labels.HUB) != spec.labels[labels.HUB]:
        raise NameTaken(
            f"a container that is not a session of this hub has the name {spec.name}: "
            "an operator must rename or remove it"
        )
    _remove(client, found.id)


def _inspect(client: docker.APIClient, container: str) -> ContainerState | None:
    try:
        found = client.inspect_container(container)
    except APIError as error:
        if error.status_code == HTTPStatus.NOT_FOUND:
            return None
        raise
    state, networks = found["State"], found["NetworkSettings"]["Networks"]
    return ContainerState(
        id=found["Id"],
        name=found["Name"].lstrip("/"),
        status=state["Status"],
        exit_code=int(state["ExitCode"]),
        oom_killed=bool(state["OOMKilled"]),
        error=state["Error"],
        address=next((n["IPAddress"] for n in networks.values() if n["IPAddress"]), ""),
        labels=found["Config"]["Labels"] or {},
    )


def _list(client: docker.APIClient, hub: str) -> list[ContainerState]:
    return [
        ContainerState(
            id=found["Id"],
            name=found["Names"][0].lstrip("/") if found["Names"] else "",
            status=found["State"],
            exit_code=0,
            oom_killed=False,
            error="",
            address="",
            labels=found["Labels"] or {},
        )
        for found in client.containers(all=True, filters={"label": f"{labels.HUB}={hub}"})
    ]


def _remove(client: docker.APIClient, container: str) -> None:
    try:
        client.remove_container(container, force=True, v=True)
    except APIError as error:
        if error.status_code == HTTPStatus.CONFLICT:  # somebody else is removing it
            _unless_gone(lambda: client.wait(container, condition="removed"))
        elif error.status_code != HTTPStatus.NOT_FOUND:
            raise


def _unless_gone(attempt: Callable[[], T]) -> T | None:
    """What the attempt gives, or ``None`` when there is no such container."""
    try:
        return attempt()
    except APIError as error:
        if error.status_code == HTTPStatus.NOT_FOUND:
            return None
        raise


def _words(error: APIError) -> str:
    """The engine's own words, in one bounded line."""
    text = str(error.explanation or error)
    return " ".join(text.split())[:500]


def _cause(error: BaseException) -> str:
    """The innermost cause, such as "Connection refused"; without addresses of objects."""
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__ or error
    return " ".join(str(error).split())[:200] or type(error).__name__
