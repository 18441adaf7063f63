"""`BaiSpawner`: JupyterHub's side of a session. Traits and lifecycle glue, nothing else.

What it decides is decided by the runtime; here JupyterHub's calls become the
runtime's, and the runtime's errors become JupyterHub's. These methods of
`DockerSpawner` and `Spawner` are replaced:

    executor, client                   the engine's pool and client, not one thread
    get_options_form                   our form, filled with what the request sent
    options_from_form, …_from_query    carry what was asked; the query never launches
    run_pre_spawn_hook                 the one validator, and the reservation
    start, stop, poll, get_url         through the runtime
    will_resume                        never: a session's token ends with it
    create_object                      refused: no user text passes through str.format
    progress                           real steps
    get_env                            platform variables alone
    run_post_stop_hook                 gives back whatever is still held
    load_state, get_state              the last accepted options survive a refusal
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, ClassVar

import docker
from dockerspawner import DockerSpawner
from jupyterhub.utils import maybe_future, url_path_join
from tornado.ioloop import IOLoop
from traitlets import Float, Int, default

from bai_spawner import apps, names
from bai_spawner.container import ContainerSpec, Placing, build_spec
from bai_spawner.errors import EngineError, Problem, Reason, Refused
from bai_spawner.folders import FolderMount
from bai_spawner.form.render import FolderChoice, render_form
from bai_spawner.labels import Key
from bai_spawner.lifecycle import Pull, Start
from bai_spawner.options import FormRequest, from_form, is_field
from bai_spawner.policy import Subject, select
from bai_spawner.refusal import LaunchError, failed, refused
from bai_spawner.runtime import BaiRuntime, Launch
from bai_spawner.steps import Progress
from bai_spawner.together import start_others

CLEARING_SECONDS = 1.0
"""How long the hub waits for the rest of an ended session; the work itself goes on."""
FORGET_SECONDS = 0.5
"""After which a server that is not live any more is forgotten (R4): the hub's own
handlers must have let go of it."""
FORM_SECONDS = 0.8
"""A refusal within this time is shown on the form (the hub waits a second for it); a later
one on the server's own page, which must still be there then."""
ENGINE_PAUSE = 2.0
"""Seconds between two questions to an engine that is away."""


@dataclass(slots=True)
class _Attempt:
    """A form that was posted, and what was found wrong with it.

    It lives in the request's context, so that the page which JupyterHub renders
    after a failed POST (for another Spawner object) has the user's values.
    """

    request: FormRequest
    problems: tuple[Problem, ...] = field(default=())


_PULL: dict[str, Pull] = {
    "never": "never",
    "skip": "never",
    "ifnotpresent": "missing",
    "always": "always",
}

_starting: set[asyncio.Future[None]] = set()
"""A task that nobody keeps may be collected before it has run."""

_attempt: ContextVar[_Attempt | None] = ContextVar("attempt", default=None)


class BaiSpawner(DockerSpawner):
    """Sessions limited to what was granted, on a Docker engine."""

    pids_limit = Int(
        2048,
        min=64,
        config=True,
        help="""The most processes and threads that a session may have::

            c.BaiSpawner.pids_limit = 4096
        """,
    )
    stop_timeout = Int(
        10,
        min=0,
        config=True,
        help="""Seconds that a session has to end by itself when it is stopped::

            c.BaiSpawner.stop_timeout = 30
        """,
    )
    failure_ttl = Float(
        600,
        min=0,
        config=True,
        help="""Seconds that a server whose start failed is kept, to say why on its page::

            c.BaiSpawner.failure_ttl = 60
        """,
    )

    _runtime: ClassVar[BaiRuntime | None] = None
    _refills: ClassVar[dict[Key, FormRequest]] = {}
    """Forms whose start failed after the hub had left the form, by user and server: the hub
    makes a new Spawner to show the form again, and what was typed is not lost."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._launch: Launch | None = None
        self._accepted: dict[str, Any] | None = None
        self._session = ""
        self._progress = Progress()
        self._shown_on_page = False
        super().__init__(*args, **kwargs)
        # a user may be renamed while a session runs: what it was started under is kept
        self._key: Key = (self.user.name, self.name) if self.user else ("", "")

    # ---- the runtime ------------------------------------------------------------

    @classmethod
    def share(cls, runtime: BaiRuntime) -> None:
        """Let every spawner of this process use ``runtime``; `bai_spawner.hub.install` does."""
        cls._runtime = runtime

    @property
    def runtime(self) -> BaiRuntime:
        """The hub's runtime."""
        if self._runtime is None:
            raise RuntimeError("call bai_spawner.hub.install(c) last in jupyterhub_config.py")
        return self._runtime

    @property
    def executor(self) -> ThreadPoolExecutor:
        """The engine's pool; DockerSpawner has one thread for everybody."""
        return self.runtime.engine.executor

    @property
    def client(self) -> docker.APIClient:
        """The engine's client."""
        return self.runtime.engine.client

    @default("pull_policy")
    def _default_pull_policy(self) -> str:
        """Nothing is fetched that the administrator did not put there: a name may be anybody's."""
        return "never"

    @property
    def _pull(self) -> Pull:
        """When an image is fetched, in our words."""
        return _PULL[self.pull_policy]

    @property
    def will_resume(self) -> bool:
        """Never: a session's token and OAuth client end with it (S27).

        DockerSpawner resumes containers that it does not remove; ours are made anew.
        """
        return False

    @default("network_name")
    def _default_network_name(self) -> str:
        return f"bai-{self.runtime.hub_id[:12]}"

    @default("server_token_scopes")
    def _default_server_token_scopes(self) -> list[str]:
        """JupyterHub's own, and that a session may end itself: "Terminate" in Lab."""
        return ["users:activity!user", "access:servers!server", "delete:servers!server"]

    @default("apply_user_options")
    def _default_apply_user_options(self) -> Callable[..., None]:
        """Nothing: options are judged in the pre-spawn phase, where a refusal is no traceback."""
        return lambda _spawner, _options: None

    # ---- what is asked ------------------------------------------------------------

    @property
    def subject(self) -> Subject:
        """For whom this server is."""
        return Subject(self.user.name, frozenset(group.name for group in self.user.groups))

    @property
    def automatic_folders(self) -> tuple[str, ...]:
        """The folders that each of this user's sessions has without being asked for."""
        runtime = self.runtime
        return runtime.folders.automatic(self.subject, select(runtime.catalog, self.subject))

    async def get_options_form(self) -> str:
        """The form, with the values and problems of the request that is being answered."""
        offer = await self.runtime.offer(self.subject, pull=self._pull != "never")
        attempt = _attempt.get()
        refill = self._refills.get(self._key)
        if self.name and not attempt and not refill:
            self._forget_later(FORGET_SECONDS)  # opening a form launches nothing
        return render_form(
            catalog=self.runtime.catalog,
            policy=offer.policy,
            usage=offer.usage,
            availability=offer.availability,
            folders=[FolderChoice(f.name, f.permission, f.automatic) for f in offer.folders],
            missing_images=offer.missing_images,
            request=attempt.request if attempt else refill,
            problems=(*offer.problems, *(attempt.problems if attempt else ())),
        )

    @default("options_from_form")
    def _default_options_from_form(self) -> Callable[[Mapping[str, Sequence[Any]]], dict[str, Any]]:
        return self._carry_form

    def _carry_form(self, fields: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
        """The body that the form stands for. It is judged later, with every other door's."""
        request = from_form(fields)
        _attempt.set(_Attempt(request))
        return request.body

    def options_from_query(self, query_data: Mapping[str, Sequence[str]]) -> dict[str, Any]:
        """A link never launches (R15): refused, and the form is shown with the reason.

        JupyterHub logs whatever is raised here with its traceback; there is no quieter way
        to keep it from starting the server.
        """
        del query_data
        told = "a link cannot launch a session; choose here and press LAUNCH"
        raise refused(Refused((Problem("link", told),)))

    async def run_pre_spawn_hook(self) -> None:
        """Judge the request and reserve what it asks for.

        Raises:
            LaunchError: when it is refused; the last accepted options stay in force.
        """
        began = time.monotonic()
        self._shown_on_page = False
        await maybe_future(super().run_pre_spawn_hook())
        attempt = _attempt.get()
        if attempt:
            self._refills[self.user.name, self.name] = attempt.request
        try:
            launch = self.runtime.take((self.user.name, self.name)) or await self._admit(attempt)
        except (Refused, EngineError) as error:
            self._shown_on_page = time.monotonic() - began > FORM_SECONDS
            self.runtime.starts.not_started("refused", error.reason)
            raise self._refuse(error, attempt) from error
        if launch.others:  # first: whatever comes of this one, nothing of theirs stays held
            self._start_others(launch.others)
        self._launch = launch
        self._accept(launch)

    async def _admit(self, attempt: _Attempt | None) -> Launch:
        """Have what was asked judged, and reserved."""
        launch = await self.runtime.admit(
            self.subject,
            self.name,
            body=self.user_options,
            session=attempt.request.session_name if attempt else self._asked_name(),
            form=attempt.request if attempt else None,
        )
        if attempt:  # offered again in the next form (R16)
            sent = attempt.request.fields.items()
            fields = {name: values for name, values in sent if is_field(name)}
            self.runtime.history.remember(self.user.name, launch.options.title, fields)
        return launch

    def _start_others(self, others: Sequence[Launch]) -> None:
        """See that those admitted together with this one are started, whatever becomes of it."""
        starting = asyncio.ensure_future(
            start_others(self.runtime, self.user, others, api_url=self.hub.api_url, log=self.log)
        )
        _starting.add(starting)
        starting.add_done_callback(_starting.discard)

    def _asked_name(self) -> str:
        """The session's name that came with the request; the server's own name is none (R4).

        A request for the default server has no place for a name: what the hub has there
        was drawn.
        """
        if not self.name:
            return ""
        asked = self.orm_spawner.display_name or ""
        return "" if asked == self.name else asked

    def _refuse(self, error: Refused | EngineError, attempt: _Attempt | None) -> LaunchError:
        """Put the last accepted options and name back, and word the refusal."""
        told = refused(error) if isinstance(error, Refused) else failed(error, secret="")
        if attempt:
            attempt.problems = told.problems
        self.user_options = self._accepted or {}
        self.orm_spawner.user_options = self._accepted
        self.orm_spawner.display_name = self._session or self.name
        self.user.db.commit()
        return told

    def _accept(self, launch: Launch) -> None:
        """Keep what was accepted: for the admin panel, and for the next start."""
        self._accepted = launch.options.to_json(launch.profile)
        self._session = launch.grant.session
        self._key = launch.key
        self.user_options = self._accepted
        self.orm_spawner.user_options = self._accepted
        self.orm_spawner.display_name = launch.grant.session
        self.orm_spawner.state = self.get_state()
        self.user.db.commit()

    # ---- the session's life ---------------------------------------------------------

    async def start(self) -> str:
        """Make the admitted session; its URL, once it answers.

        Raises:
            LaunchError: it did not become a session; what was made is removed.
        """
        launch = self._launch
        assert launch is not None  # noqa: S101 - the pre-spawn phase comes first
        self.image = launch.grant.image
        self.object_name = names.container_name(self.runtime.hub_id, *launch.key)
        start = Start(
            key=launch.key,
            allocation=launch.allocation.id,
            mounts=launch.mounts,
            make_folders=launch.make_folders,
            make_spec=lambda mounts, image: self._spec(launch, mounts, image),
            port_taken=lambda: self.runtime.ports.taken(launch.allocation.id),
            image=launch.grant.image,
            port=self.port,
            path=url_path_join(self.server.base_url, "api"),
            seconds=self._own_timeout(),
            pull=self._pull,
        )
        began = time.monotonic()
        try:
            running = await self.runtime.lifecycle.start(start, self._progress.report)
        except EngineError as error:
            self._shown_on_page = True
            self.runtime.starts.not_started("failed", error.reason)
            raise failed(error, secret=self.api_token) from error
        except asyncio.CancelledError:
            self.runtime.starts.not_started("cancelled", Reason.CANCELLED)
            raise
        self.runtime.starts.started(time.monotonic() - began)
        self.object_id = running.container
        self._refills.pop(launch.key, None)
        return f"http://{running.address}:{self.port}"

    def _own_timeout(self) -> float:
        """A little less than the hub's, so that we are the ones to say what went wrong."""
        timeout = float(self.start_timeout)
        return timeout - min(5.0, 0.1 * timeout)

    def _spec(
        self, launch: Launch, mounts: tuple[FolderMount, ...], image: Mapping[str, str]
    ) -> ContainerSpec:
        environment = self.get_env()
        placing = Placing(
            hub=self.runtime.hub_id,
            network=self.network_name,
            pids=self.pids_limit,
            stop_timeout=self.stop_timeout,
            service=self._service(environment["JUPYTERHUB_BASE_URL"]),
        )
        return build_spec(
            launch.grant,
            launch.allocation,
            mounts,
            placing,
            gpus=self.runtime.gpus.attachment(launch.allocation),
            ssh=self.runtime.ssh(launch.allocation.id),
            apps=self._apps(image),
            tunnel_key=self.runtime.tunnel_key(launch.allocation.id),
            environment=environment,
            command=self.cmd or None,
        )

    def _service(self, base_url: str) -> str:
        """Where this session reaches the service; empty where it does not."""
        at = self.runtime.service_connect_url
        return str(url_path_join(at, base_url, "services", names.SERVICE, "/")) if at else ""

    def _apps(self, image: Mapping[str, str]) -> str:
        """The apps that an image's label declares, in JSON; none when it cannot be read."""
        label = image.get(apps.LABEL)
        try:
            return apps.to_json(apps.parse(label)) if label else ""
        except apps.AppsError as error:
            self.log.warning("%s starts without apps of its image: %s", self._log_name, error)
            return ""

    async def create_object(self) -> Any:
        """Not used: DockerSpawner's passes what users send through `str.format`."""
        raise NotImplementedError("a session's container is made from its ContainerSpec")

    async def stop(self, now: bool = False) -> None:
        """End the session. Ended or gone already is success."""
        await self.runtime.lifecycle.end(self._key, grace=0 if now else self.stop_timeout)
        self.object_id = ""

    async def poll(self) -> int | None:
        """``None`` while it runs, or while that cannot be known; else its exit code."""
        if self._launch and not self.object_id and self._start_pending:
            return None
        if not self.object_id:
            return 0
        try:
            state = await self.runtime.lifecycle.find(self.object_id)
            if state and not state.running:  # unless the engine is just going down
                await self.runtime.lifecycle.how_it_ended(state)
        except EngineError as error:
            self.log.warning("Cannot look at %s: %s", self._log_name, error)
            return None  # unknown is not stopped
        if state is None:
            return 0
        return None if state.running else state.exit_code

    async def get_url(self) -> str:
        """Where the session is now; waits while the engine is away.

        The hub asks this after a restart, and would stop a server that it cannot reach.
        """
        while True:
            try:
                state = await self.runtime.lifecycle.find(self.object_id)
                break
            except EngineError as error:
                self.log.warning("Cannot look at %s: %s", self._log_name, error)
                await asyncio.sleep(ENGINE_PAUSE)
        if state and state.address:
            return f"http://{state.address}:{self.port}"
        return str(self.server.url)

    @property
    def together(self) -> list[dict[str, str]]:
        """The sessions that were launched with this one, itself first, for the pending page.

        Empty when it was launched alone.
        """
        if not self._launch or not self._launch.others:
            return []
        return [
            {
                "server": launch.allocation.server,
                "session": launch.grant.session,
                "progress_url": self.user.progress_url(launch.allocation.server),
            }
            for launch in (self._launch, *self._launch.others)
        ]

    async def progress(self) -> AsyncIterator[dict[str, Any]]:
        """Each step of the start as it begins."""
        async for step in self._progress.follow():
            yield {"progress": step.progress, "message": step.message}

    def get_env(self) -> dict[str, str]:
        """The platform's variables; the user's go another way (R7)."""
        return {name: str(value) for name, value in super().get_env().items()}

    async def run_post_stop_hook(self) -> None:
        """Give back what this server still holds, whatever way it ended, and forget it."""
        await self.runtime.clear(self._key, seconds=CLEARING_SECONDS)
        self._launch = None
        self._progress = Progress()
        await maybe_future(super().run_post_stop_hook())
        if self.name:
            self._forget_later(self.failure_ttl if self._shown_on_page else FORGET_SECONDS)

    # ---- what the hub keeps ------------------------------------------------------------

    def load_state(self, state: dict[str, Any]) -> None:
        """Remember the container, and the options that were last accepted."""
        super().load_state(state)
        self._accepted = state.get("accepted")
        self._session = state.get("session", "")
        self._key = tuple(state.get("key", self._key))

    def get_state(self) -> dict[str, Any]:
        """What `load_state` reads."""
        state: dict[str, Any] = super().get_state()
        if self._accepted is not None:
            state["accepted"] = self._accepted
            state["session"] = self._session
            state["key"] = list(self._key)
        return state

    def _forget_later(self, seconds: float) -> None:
        IOLoop.current().call_later(seconds, self.forget)

    def forget(self) -> None:
        """Remove the named server of a session that ended, or was never launched (R4)."""
        orm_spawner = self.user.orm_spawners.get(self.name)
        current = self.user.spawners.get(self.name)
        if (orm_spawner and orm_spawner.server) or (current and current.active):
            return
        self._refills.pop((self.user.name, self.name), None)
        self.user.spawners.pop(self.name, None)
        if orm_spawner:
            self.user.db.delete(orm_spawner)
            self.user.db.commit()
