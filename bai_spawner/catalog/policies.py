"""Who may do what: whom a policy is for, and the most that it allows.

Whether a request keeps to one is judged in `bai_spawner.policy`.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from bai_spawner.catalog.fields import Cores, Duration, Fgpu, Key, Section, Size


class Match(Section):
    """Whom a policy is for: anyone named here, or in one of the groups."""

    users: tuple[str, ...] = Field((), description="JupyterHub users", strict=False)
    groups: tuple[str, ...] = Field((), description="JupyterHub groups", strict=False)


class Limits(Section):
    """The most that a user may hold at once; unset: no bound."""

    sessions: int | None = Field(None, ge=1, description="sessions")
    cpu: Cores | None = Field(None, description="cores, of all sessions together")
    memory: Size | None = Field(None, description="memory, of all sessions together")
    fgpu: Fgpu | None = Field(None, description="GPU, of all sessions together")


class SessionLimits(Section):
    """The most that one session may have; unset: no bound."""

    cpu: Cores | None = Field(None, description="cores")
    memory: Size | None = Field(None, description="memory")
    shm: Size | None = Field(None, description="shared memory")
    fgpu: Fgpu | None = Field(None, description="GPU")


class TimeLimits(Section):
    """How long one session may go on (R53); unset: no bound. In seconds."""

    idle: Duration | None = Field(None, description="without use, until it ends")
    lifetime: Duration | None = Field(None, description="in all, until it ends")
    warning: Duration = Field(
        600, description="before either end; at most half of the limit that it is for"
    )
    extend: Duration | None = Field(
        None, description="that its user may add to its lifetime at once; unset: none"
    )
    extensions: int = Field(1, ge=1, le=1000, description="how often")


class AppRules(Section):
    """How apps may be opened on ports of the host (R35)."""

    public: bool = Field(False, description="for everybody, without a login")
    preferred_port: bool = Field(True, description="on the port that their user asks for first")


class Policy(Section):
    """What some users may do. The first that matches applies; the last matches everyone."""

    name: Key = Field(description="how messages and labels call it")
    match: Match | None = Field(None, description="whom it is for; the last policy has none")
    resource_groups: tuple[Key, ...] | None = Field(
        None, description="allowed resource groups; all if unset", strict=False
    )
    environments: tuple[Key, ...] | None = Field(
        None, description="allowed environments; all if unset", strict=False
    )
    presets: tuple[Key, ...] | None = Field(
        None, description="allowed presets; all if unset", strict=False
    )
    limits: Limits = Field(Limits(), description="in total")
    per_session: SessionLimits = Field(SessionLimits(), description="for one session")
    time: TimeLimits = Field(TimeLimits(), description="for one session")
    apps: AppRules = Field(AppRules(), description="how they may be opened")
    folders: tuple[Literal["user", "group"], ...] = Field(
        ("user", "group"), description="whose folders may be mounted", strict=False
    )

    def applies_to(self, user: str, groups: frozenset[str]) -> bool:
        """Whether the policy is for this user."""
        match = self.match
        return match is None or user in match.users or bool(groups.intersection(match.groups))
