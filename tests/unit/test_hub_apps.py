"""Where apps are to be is checked when the hub starts, and said in words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("jupyterhub")

from traitlets.config import Config

from bai_spawner.app_proxy.settings import VARIABLE
from bai_spawner.errors import CatalogError
from bai_spawner.hub_apps import NAME, _session_port, add_app_proxy
from bai_spawner.runtime import BaiRuntime

HUB = "http://127.0.0.1:8000"


def configured(tmp_path: Path, *, bind_url: str = HUB, **traits: Any) -> Config:
    """A configuration after the proxy was added to it."""
    c = Config()
    c.JupyterHub.bind_url = bind_url
    c.JupyterHub.services = []
    add_app_proxy(c, BaiRuntime(state_dir=str(tmp_path), **traits))
    return c


def test_without_a_place_for_apps_there_is_no_proxy(tmp_path: Path) -> None:
    assert configured(tmp_path).JupyterHub.services == []


def test_the_proxy_is_a_service_without_an_address_a_role_or_a_login(tmp_path: Path) -> None:
    (service,) = configured(tmp_path, apps_url="http://localhost").JupyterHub.services
    assert set(service) == {"name", "command", "environment", "display"}
    assert service["name"] == NAME
    assert service["environment"][VARIABLE] == str(tmp_path / "app_proxy.json")


@pytest.mark.parametrize(
    "url",
    [
        *("localhost", "ftp://localhost", "http://", "http://localhost:30000", "http://Apps.org"),
        *(
            "http://localhost/apps",
            "http://localhost?x",
            "http://a@localhost",
            "http://localhost#x",
        ),
    ],
)
def test_what_is_no_host_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(CatalogError, match=r"^BaiRuntime\.apps_url: .* is not accepted; write"):
        configured(tmp_path, apps_url=url)


@pytest.mark.parametrize("hub", [HUB, "http://127.0.0.1", "https://127.0.0.1:8443/base"])
def test_the_hubs_own_host_is_refused(tmp_path: Path, hub: str) -> None:
    with pytest.raises(CatalogError, match=r"'127\.0\.0\.1' is the hub's own host"):
        configured(tmp_path, bind_url=hub, apps_url="http://127.0.0.1")
    with pytest.raises(CatalogError, match="is the hub's own host"):
        configured(tmp_path, hub_url=hub, apps_url="http://127.0.0.1")


@pytest.mark.parametrize("bind_url", ["http://:8000", "http://0.0.0.0:8000", "http://[::]:8000"])
def test_a_hub_whose_address_is_not_known_is_refused(tmp_path: Path, bind_url: str) -> None:
    with pytest.raises(CatalogError, match=r"^BaiRuntime\.hub_url: nothing is set"):
        configured(tmp_path, bind_url=bind_url, apps_url="http://localhost")
    assert configured(
        tmp_path, bind_url=bind_url, apps_url="http://localhost", hub_url="http://hub.example.org"
    )


@pytest.mark.parametrize("ports", ["", "80-90", "30000", "31000-30000", "a-b"])
def test_what_are_no_ports_is_refused(tmp_path: Path, ports: str) -> None:
    with pytest.raises(CatalogError, match=r"^BaiRuntime\.apps_ports: .* is not accepted"):
        configured(tmp_path, apps_url="http://localhost", apps_ports=ports)


def test_https_needs_a_certificate(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match=r"^BaiRuntime\.apps_certificate: nothing is set"):
        configured(tmp_path, apps_url="https://apps.example.net")


def test_a_sessions_port_is_what_the_configuration_says() -> None:
    c = Config()
    assert _session_port(c) == 8888
    c.DockerSpawner.port = 9999
    assert _session_port(c) == 9999
