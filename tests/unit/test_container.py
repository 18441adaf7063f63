"""What a grant's container has of ports, apps and limits that its session is told."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from bai_spawner import labels
from bai_spawner.container import (
    APPS,
    SSH_PORT,
    TUNNEL_KEY,
    USER_ENV,
    ContainerSpec,
    Placing,
    build_spec,
)
from bai_spawner.ledger import Allocation
from bai_spawner.ports import Listening
from tests.examples import a_grant

PLACING = Placing(hub="hub", network="none", pids=77)
ALLOCATION = Allocation("0123", "ada", "s1", "work", "default", "local", 1, 2**30)


def spec(granted: dict[str, Any] | None = None, **more: Any) -> ContainerSpec:
    grant = replace(a_grant(quanta=more.pop("quanta", 0)), **(granted or {}))
    return build_spec(grant, ALLOCATION, (), PLACING, environment={}, **more)


def test_ssh_is_published_where_the_session_is_told_and_its_label_says() -> None:
    made = spec(ssh=Listening("127.0.0.1", 31007, "gpu.example.org"))
    assert made.ports == {SSH_PORT: Listening("127.0.0.1", 31007, "gpu.example.org")}
    assert made.environment["BAI_SSH_PORT"] == "31007"
    assert made.environment["BAI_SSH_HOST"] == "gpu.example.org"
    assert labels.decode(made.labels).ssh_port == 31007


def test_without_ssh_nothing_is_published_and_an_images_word_counts_for_nothing() -> None:
    made = spec()
    assert made.ports == {}
    assert made.environment["BAI_SSH_PORT"] is None
    assert made.environment["BAI_SSH_HOST"] is None
    assert labels.decode(made.labels).ssh_port == 0


def test_a_session_is_told_its_limits() -> None:
    made = spec(quanta=3)
    assert made.environment["BAI_PIDS_LIMIT"] == "77"
    assert made.environment["BAI_SHM_LIMIT"] == str(made.shm)
    assert made.environment["BAI_FGPU"] == "1.5"
    assert spec().environment["BAI_FGPU"] is None


def test_the_proxy_to_ports_is_on_where_the_catalogue_says_so_alone() -> None:
    assert spec().environment["BAI_PORT_PROXY"] is None
    assert spec({"port_proxy": True}).environment["BAI_PORT_PROXY"] == "1"


def test_a_session_is_told_where_the_service_is_and_an_images_word_counts_for_nothing() -> None:
    assert spec().environment["BAI_SERVICE_URL"] is None
    url = "http://172.30.0.1:8002/services/sessions/"
    made = build_spec(a_grant(), ALLOCATION, (), replace(PLACING, service=url), environment={})
    assert made.environment["BAI_SERVICE_URL"] == url


def test_apps_and_variables_are_files_and_are_not_there_without_any() -> None:
    assert spec().files == ()
    made = spec({"env": (("NAME", "{0}"),)}, apps='[{"name": "x"}]')
    found = {file.path: json.loads(file.content) for file in made.files}
    assert found == {USER_ENV: {"NAME": "{0}"}, APPS: [{"name": "x"}]}
    assert {file.mode for file in made.files} == {0o400}


def test_the_key_of_tunnels_is_a_file_that_the_session_alone_may_read() -> None:
    made = spec(tunnel_key="ab" * 32)
    (file,) = made.files
    assert (file.path, file.content, file.mode) == (TUNNEL_KEY, b"ab" * 32, 0o400)
    assert "ab" * 32 not in repr(made)
    assert "ab" * 32 not in str({**made.environment, **made.labels})
