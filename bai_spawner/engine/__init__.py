"""The Docker engine: the only package that knows docker-py."""

from bai_spawner.engine.adapter import Engine
from bai_spawner.engine.state import ContainerEvent, ContainerState, EngineInfo, Verb

__all__ = ["ContainerEvent", "ContainerState", "Engine", "EngineInfo", "Verb"]
