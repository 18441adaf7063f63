"""Checks of what a session can see: its devices and its namespaces."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bai_spawner.enforcement import Level
from bai_spawner.gpu.verify.plan import Finding, Plan, Unmeasurable
from bai_spawner.gpu.verify.readings import ProbeRefused
from bai_spawner.gpu.verify.session import Session, Variation


@dataclass(frozen=True, slots=True)
class Sight:
    """The devices of a session, by NVML's UUIDs. Processes of the host see what the host has."""

    session: Session
    devices: tuple[str, ...]

    def plain(self) -> Plan:
        """CUDA gives a session its devices and no other."""
        return self._plan("devices", f"exactly {self._words}", lambda: self._sees(Variation()))

    def escape(self, name: str, variation: Variation) -> Plan:
        """It gives one that tries to get others no other."""
        return self._plan(name, f"none but {self._words}", lambda: self._tried(variation))

    def namespaces(self) -> Plan:
        """Its processes see no process of the host, nor share memory with one."""
        return self._plan("namespaces", "IPC and PID of its own", self._apart)

    @property
    def _words(self) -> str:
        return ", ".join(self.devices)

    def _plan(self, name: str, expected: str, measure: Callable[[], Finding]) -> Plan:
        return Plan(name, expected, measure, Level.SESSION, Level.NONE)

    def _sees(self, variation: Variation) -> Finding:
        found = self._found(variation)
        return sorted(found) == sorted(map(_plain, self.devices)), _listed(found)

    def _tried(self, variation: Variation) -> Finding:
        try:
            found = self._found(variation)
        except ProbeRefused as refusal:
            return True, f"no GPU: {refusal}"
        return set(found) <= set(map(_plain, self.devices)), _listed(found)

    def _found(self, variation: Variation) -> tuple[str, ...]:
        self._only_contained()
        return self.session.devices(variation).uuids

    def _apart(self) -> Finding:
        self._only_contained()
        found, here = self.session.namespaces(), Path("/proc/self/ns")
        shared = [
            name
            for name, its in (("IPC", found.ipc), ("PID", found.pid))
            if its == str((here / name.lower()).readlink())
        ]
        return not shared, f"the host's {' and '.join(shared)}" if shared else "of its own"

    def _only_contained(self) -> None:
        if not self.session.runner.contained:
            raise Unmeasurable("processes of the host, in no container")


def _plain(uuid: str) -> str:
    """NVML's UUID as CUDA's 16 bytes say it."""
    return uuid.removeprefix("GPU-").removeprefix("MIG-").lower()


def _listed(found: tuple[str, ...]) -> str:
    return ", ".join(found) or "none"
