"""The Docker engine, as few idempotent verbs on a pool of threads.

Every call runs on a thread of a
pool of its own, so a slow one holds up no other user, and every failure becomes
one of our types: `EngineAway` when nothing may be concluded, `EngineError` with
the engine's own words otherwise. What is already so is success: removing what is
gone, stopping what has stopped.

The client is made at the first call that needs it and made anew after the engine
was away, so a hub may start before its engine.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import re
import tarfile
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from pathlib import Path
from typing import Any, TypeVar, cast

import docker
import requests
from docker.errors import APIError, DockerException
from docker.types import LogConfig, Mount
from docker.utils import kwargs_from_env, parse_repository_tag

from bai_spawner import labels
from bai_spawner.container import GID, UID, ContainerSpec
from bai_spawner.engine import gpus
from bai_spawner.engine.events import Listener
from bai_spawner.engine.state import ContainerState, EngineInfo
from bai_spawner.errors import (
    EngineAway,
    EngineError,
    ImageMissing,
    NameTaken,
    PortTaken,
    shown,
)

T = TypeVar("T")

LOG_BYTES = 10 * 1024 * 1024
GREET_SECONDS = 10.0
"""How long an engine that serves others may take to let in one more."""
_PORT_TAKEN = re.compile(r"port is already allocated|address already in use")
"""In the engine's words: another container has the port, or another program."""
SECRET = frozenset({"JUPYTERHUB_API_TOKEN", "JPY_API_TOKEN"})
"""Variables of a container's environment whose values no log may show."""


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
            "max_pool_size": threads + 1,  # and one that listens
            **kwargs_from_env(),
            **(client_kwargs or {}),
        }
        self._client: docker.APIClient | None = None
        self._making = threading.Lock()

    async def info(self) -> EngineInfo:
        """What the host has."""
        found = await self._call(lambda client: client.info())
        return EngineInfo(
            cpu=int(found["NCPU"]),
            memory=int(found["MemTotal"]),
            version=str(found["ServerVersion"]),
            cgroup=str(found.get("CgroupVersion") or "1"),
            cdi=bool(found.get("CDISpecDirs")),
        )

    async def has_image(self, image: str) -> bool:
        """Whether an image is on the engine, under whatever reference."""

        def inspect(client: docker.APIClient) -> object:
            return _unless_gone(lambda: client.inspect_image(image))  # type: ignore[no-untyped-call]

        return await self._call(inspect) is not None

    async def image_labels(self, image: str) -> Mapping[str, str]:
        """What an image says of itself; nothing when there is none."""

        def inspect(client: docker.APIClient) -> Mapping[str, Any] | None:
            return _unless_gone(lambda: client.inspect_image(image))  # type: ignore[no-untyped-call]

        found = await self._call(inspect)
        return (found["Config"].get("Labels") or {}) if found else {}

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
        """Start it; a container that runs already is left alone.

        Raises:
            PortTaken: a port of the host that it was to have is another program's.
        """
        try:
            await self._call(lambda client: client.start(container))
        except EngineError as error:
            if _PORT_TAKEN.search(str(error)):
                raise PortTaken(str(error)) from error
            raise

    async def inspect(self, container: str) -> ContainerState | None:
        """What it is doing, or ``None`` when there is none."""
        return await self._call(lambda client: _inspect(client, container))

    async def stop(self, container: str, grace: int | None) -> None:
        """Ask it to end and kill it after ``grace`` seconds; gone or ended is success.

        ``None``: as many seconds as it was made with.
        """
        await self._call(lambda client: _unless_gone(lambda: client.stop(container, timeout=grace)))

    async def remove(self, container: str) -> None:
        """Kill and remove it; when this returns it is gone, whoever removed it."""
        await self._call(lambda client: _remove(client, container))

    async def logs(self, container: str, lines: int) -> str:
        """The end of what it printed, without its token; empty when it is gone."""
        return await self._call(lambda client: _logs(client, container, lines))

    async def list(self, hub: str, *, size: bool = False) -> list[ContainerState]:
        """Every container of a deployment, whatever it is doing.

        With ``size`` the engine measures what each wrote, which takes it seconds.
        """
        label = f"{labels.HUB}={hub}"
        return await self._call(lambda client: _list(client, label, size=size))

    async def everyone(self) -> Sequence[ContainerState]:
        """Every session's container of every deployment on this engine, the newest first."""
        return await self._call(lambda client: _list(client, labels.HUB))

    async def stats(self, container: str) -> Mapping[str, Any] | None:
        """What it uses now, in the engine's own words; ``None`` when it is gone."""
        return await self._call(
            lambda client: _unless_gone(
                lambda: client.stats(container, stream=False, one_shot=True)
            )
        )

    async def greet(self) -> None:
        """Be answered on a new connection.

        An engine that goes down lets nobody in any more and ends its containers, and tells
        all that to those who are connected.

        Raises:
            EngineAway: it does not answer, or not for long.
        """
        await self._call(lambda _: self._greet())

    async def listen(self, hub: str) -> Listener:
        """Hear what befalls a deployment's containers from now on.

        Raises:
            EngineAway: the engine does not answer.
        """
        listener = Listener(hub)
        await self._call(listener.open)
        return listener

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

    def _greet(self) -> None:
        kwargs = {**self._kwargs, "timeout": GREET_SECONDS}
        with contextlib.closing(docker.APIClient(**kwargs)) as another:
            another.ping()

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
        # docker-py writes a name without a value as such, and the engine then unsets it
        environment=cast("dict[str, str]", dict(spec.environment)),
        labels=dict(spec.labels),
        ports=list(spec.ports),
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
            *(_bind(m.target, m.source, read_only=m.read_only) for m in spec.mounts),
            *(_bind(b.target, b.source, read_only=True) for b in spec.binds),
        ],
        network_mode=spec.network,
        pids_limit=spec.pids,
        port_bindings={port: (on.address, on.port) for port, on in spec.ports.items()},
        privileged=False,
        # what an engine can is asked only for a session that needs it
        device_requests=gpus.request(spec.devices, client.info() if spec.devices else {}),
        restart_policy={"Name": "no"},
        security_opt=["no-new-privileges"],
        shm_size=spec.shm,
    )


def _bind(target: str, source: Path, *, read_only: bool) -> Mount:
    """A folder of the host; unlike a volume, it must be there already."""
    return Mount(target, str(source), type="bind", read_only=read_only)


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
        return ContainerState.inspected(client.inspect_container(container))
    except APIError as error:
        if error.status_code == HTTPStatus.NOT_FOUND:
            return None
        raise


def _list(client: docker.APIClient, label: str, *, size: bool = False) -> list[ContainerState]:
    found = client.containers(all=True, size=size, filters={"label": label})
    return [ContainerState.listed(one) for one in found]


def _logs(client: docker.APIClient, container: str, lines: int) -> str:
    """The end of a log, without the session's token, which its own environment has."""
    try:
        environment = client.inspect_container(container)["Config"]["Env"] or ()
        log = client.logs(container, tail=lines).decode("utf-8", "replace")
    except APIError as error:
        if error.status_code in (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT):  # gone, or going
            return ""
        raise
    for variable in environment:
        name, _, value = variable.partition("=")
        if name in SECRET and value:
            log = log.replace(value, "[token]")
    return log


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
    return gpus.worded(" ".join(text.split())[:500])


def _cause(error: BaseException) -> str:
    """The innermost cause, such as "Connection refused"; without addresses of objects."""
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__ or error
    return " ".join(str(error).split())[:200] or type(error).__name__
