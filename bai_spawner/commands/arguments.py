"""What was asked for at the terminal."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from bai_spawner import units
from bai_spawner.catalog import Catalog
from bai_spawner.errors import BaiError
from bai_spawner.gpu.share import memory_mib, sm_percent


class WrongArgument(BaiError):
    """An argument cannot be what it is. The message says which, and what is accepted."""


@dataclass(frozen=True, slots=True)
class Arguments:
    """One command's arguments; empty where none was given."""

    catalog: Catalog
    strategy: str = ""
    device: str = ""
    share: str = ""
    image: str = ""
    markdown: bool = False

    def quanta(self) -> int:
        """The share in quanta; 0 where none was given.

        Raises:
            WrongArgument: it is no share of one GPU.
        """
        if not self.share:
            return 0
        gpu = self.catalog.gpu
        try:
            quanta = units.to_quanta(units.parse_fgpu(self.share), gpu.quantum)
        except ValueError as error:
            raise WrongArgument(f"--share {self.share}: {error}") from None
        if not 0 < quanta <= gpu.quanta_per_gpu:
            most = units.plain(gpu.fgpu_per_gpu)
            raise WrongArgument(f"--share {self.share}: must be more than 0, at most {most}")
        return quanta


def fgpu(catalog: Catalog, quanta: int) -> str:
    """Quanta as fGPU."""
    return f"{units.plain(units.from_quanta(quanta, catalog.gpu.quantum))} fGPU"


def comes_to(catalog: Catalog, quanta: int, usable: int, whole: int) -> str:
    """What a share comes to, in words."""
    size = units.format_size(memory_mib(usable, quanta, whole) * units.MIB)
    percent = sm_percent(quanta, catalog.gpu.quanta_per_gpu)
    part = Fraction(quanta, catalog.gpu.quanta_per_gpu)
    return f"{fgpu(catalog, quanta)} = {part} of a GPU: {size}, {percent} % of the multiprocessors"
