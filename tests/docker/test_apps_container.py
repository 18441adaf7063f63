"""Apps in the image that is shipped: TensorBoard on a log directory, and no way to elsewhere."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import docker
import httpx
import pytest

from bai_spawner import apps
from tests.deployment import eventually

IMAGE = "bai-spawner/numpy:2.4"
TOKEN = "the-token-of-this-session"
PATIENCE = 90
SERVE = [
    "/opt/bai/bin/jupyter-lab",
    "--ip=0.0.0.0",
    "--no-browser",
    "--ServerApp.base_url=/user/alice/one/",
    f"--IdentityProvider.token={TOKEN}",
]
WRITE_EVENTS = """
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter
writer = EventFileWriter("/home/work/logs/run-1")
for step in range(5):
    value = Summary.Value(tag="loss", simple_value=1 / (1 + step))
    writer.add_event(Event(step=step, wall_time=step, summary=Summary(value=[value])))
writer.close()
"""
FIRST_PARTS = """
from jupyter_server.serverapp import ServerApp
app = ServerApp.instance(port=0)
app.initialize(argv=["--ServerApp.base_url=/BASE/"], new_httpserver=False)
def walk(router):
    for rule in router.rules:
        if hasattr(rule.target, "rules"):
            yield from walk(rule.target)
        elif getattr(rule.matcher, "regex", None):
            yield rule.matcher.regex.pattern
print(*walk(app.web_app.default_router), sep="\\n")
"""


@dataclass
class Running:
    """A session's container, and its server as its user."""

    container: Any
    http: httpx.Client

    def run(self, *command: str) -> str:
        result = self.container.exec_run(list(command))
        assert result.exit_code == 0, result.output.decode()
        return str(result.output.decode())

    def app(self, name: str) -> dict[str, Any]:
        answer = self.http.get(f"bai/api/apps/{name}")
        assert answer.is_success, answer.text
        return dict(answer.json())


def handed_over(content: str) -> io.BytesIO:
    """The apps as the hub puts them into a container."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        entry = tarfile.TarInfo("apps.json")
        entry.size, entry.mode, entry.uid, entry.gid = len(content.encode()), 0o400, 1000, 1000
        archive.addfile(entry, io.BytesIO(content.encode()))
    stream.seek(0)
    return stream


@pytest.fixture(scope="module")
def start(client: docker.DockerClient) -> Iterator[Callable[..., Running]]:
    """Start a session of the image, without a hub; ``label`` in place of the image's."""
    made: list[Any] = []
    clients: list[httpx.Client] = []

    def run(label: str = "", **environment: str) -> Running:
        label = label or client.images.get(IMAGE).labels[apps.LABEL]
        container = client.containers.create(
            IMAGE,
            SERVE,
            environment=environment,
            init=True,
            cap_drop=["ALL"],
            security_opt=["no-new-privileges"],
            mem_limit="1g",
            ports={"8888/tcp": ("127.0.0.1", None)},
        )
        made.append(container)
        container.put_archive("/run/bai", handed_over(apps.to_json(apps.parse(label))))
        container.start()
        container.reload()
        port = container.ports["8888/tcp"][0]["HostPort"]
        http = httpx.Client(
            base_url=f"http://127.0.0.1:{port}/user/alice/one/",
            headers={"Authorization": f"token {TOKEN}"},
            timeout=30,
        )
        clients.append(http)
        running = Running(container, http)

        def answers() -> bool:
            try:
                return http.get("api").is_success
            except httpx.TransportError:
                return False

        assert eventually(answers, seconds=PATIENCE), container.logs().decode()
        return running

    yield run
    for http in clients:
        http.close()
    for container in made:
        container.remove(force=True, v=True)


@pytest.fixture(scope="module")
def session(start: Callable[..., Running]) -> Running:
    """A session as the image and the shipped catalogue make it: ports are shut."""
    return start()


@pytest.fixture
def sibling(client: docker.DockerClient) -> Iterator[str]:
    """Something that answers in another container: its address and port."""
    container = client.containers.run(
        IMAGE, ["python3", "-m", "http.server", "-d", "/usr/share/zoneinfo", "8000"], detach=True
    )
    try:
        container.reload()
        networks = container.attrs["NetworkSettings"]["Networks"].values()
        yield f"{next(iter(networks))['IPAddress']}:8000"
    finally:
        container.remove(force=True, v=True)


def test_tensorboard_opens_on_a_log_directory(session: Running) -> None:
    session.run("python3", "-c", WRITE_EVENTS)
    assert session.app("tensorboard")["state"] == "stopped"
    begun = session.http.post("bai/api/apps/tensorboard", json={"directory": "logs"})
    assert (begun.status_code, begun.json()["state"]) == (202, "starting")
    app = eventually(
        lambda: (found := session.app("tensorboard"))["state"] != "starting" and found,
        seconds=PATIENCE,
    )
    assert (app["state"], app["directory"]) == ("running", "logs"), app
    page = session.http.get("tensorboard/")
    assert "<title>TensorBoard</title>" in page.text
    assert session.http.get("tensorboard/data/environment").json()["data_location"] == (
        "/home/work/logs"
    )
    runs = eventually(lambda: session.http.get("tensorboard/data/runs").json(), seconds=PATIENCE)
    assert runs == ["run-1"]
    tags = session.http.get("tensorboard/data/plugin/scalars/tags").json()
    assert list(tags["run-1"]) == ["loss"]
    assert "TensorBoard" in session.http.get("bai/api/apps/tensorboard/output").text
    assert "tensorboard: TensorBoard" in session.container.logs().decode()
    assert session.http.delete("bai/api/apps/tensorboard").status_code == 204
    listed = session.run("ps", "-eo", "args=")
    assert "tensorboard" not in listed


@pytest.mark.parametrize("directory", ["missing", "closed", "leaves", "/etc", "..", ".bashrc"])
def test_a_directory_that_is_none_or_is_elsewhere_is_refused(
    session: Running, directory: str
) -> None:
    session.run("sh", "-c", "mkdir -p -m 0 closed; ln -sfn / leaves")
    answer = session.http.post("bai/api/apps/tensorboard", json={"directory": directory})
    assert (answer.status_code, answer.json()["field"]) == (400, "directory")
    assert session.app("tensorboard")["state"] == "stopped"


def test_the_apps_of_every_session_are_there_with_their_icons(session: Running) -> None:
    found = session.http.get("bai/api/apps").json()["apps"]
    assert [app["name"] for app in found] == ["lab", "notebook", "terminal", "tensorboard"]
    for app in found:
        icon = session.http.get(app["icon"])
        assert icon.headers["content-type"] == "image/svg+xml"
        assert session.http.get(app["url"], follow_redirects=True).is_success, app["url"]
    terminal = session.http.get("terminal/")
    assert "<title>ttyd" in terminal.text or "Terminal" in terminal.text


def test_no_app_can_have_a_name_that_the_server_answers_itself(session: Running) -> None:
    """Every first part of an address of this image's server is reserved."""
    program = FIRST_PARTS.replace("/BASE/", "/user/alice/one/")
    listed = session.run("env", "JUPYTER_RUNTIME_DIR=/tmp", "/opt/bai/bin/python", "-c", program)
    base = "/user/alice/one/"
    rules = [line.removeprefix(base) for line in listed.splitlines() if line.startswith(base)]
    firsts = {rule.split("/")[0].split("(")[0].rstrip("$?") for rule in rules}
    names = {first for first in firsts if first and first.replace("-", "").isalpha()}
    assert {"api", "lab", "proxy", "terminal"} <= names
    assert names <= apps.RESERVED | {"tensorboard"}


def ways(address: str) -> list[str]:
    host, port = address.split(":")
    numbers = [int(part) for part in host.split(".")]
    number = int.from_bytes(bytes(numbers), "big")
    return [
        f"proxy/{address}/",
        f"proxy/absolute/{address}/",
        f"proxy/{host.replace('.', '%2E')}:{port}/",
        f"proxy/localhost@{address}/",
        f"proxy/localhost%40{address}/",
        f"proxy/%5B::ffff:{host}%5D:{port}/",
        f"proxy/{number}:{port}/",
        f"proxy/8888@{address}/",
        f"proxy/8888//{address}/",
        f"tensorboard/@{address}/",
        f"terminal//{address}/",
        f"terminal/@{address}/",
    ]


@pytest.mark.parametrize("opened", ["0", "1"])
def test_a_session_leads_nobody_to_another_host(
    start: Callable[..., Running], sibling: str, opened: str
) -> None:
    session = start(BAI_PORT_PROXY=opened)
    assert "Europe" in session.run("curl", "-s", f"http://{sibling}/"), "it is there"
    for way in ways(sibling):
        for headers in ({}, {"Host": sibling}, {"X-Forwarded-Host": sibling}):
            answer = session.http.get(way, headers=headers, follow_redirects=True)
            assert "Europe" not in answer.text, way
    own = session.http.get("proxy/8888/user/alice/one/api")
    assert own.status_code == (200 if opened == "1" else 403)
    assert "<html" in session.http.get("terminal/").text, "what is meant to be proxied is"


def test_an_app_that_fails_says_why_in_a_real_session(start: Callable[..., Running]) -> None:
    label = [
        {
            "name": "broken",
            "title": "Broken",
            "command": ["sh", "-c", "echo no licence >&2; exit 3", "{port}"],
        }
    ]
    session = start(json.dumps(label))
    session.http.post("bai/api/apps/broken", json={})
    app = eventually(lambda: (found := session.app("broken"))["state"] == "failed" and found)
    assert app["message"] == "Broken ended with exit code 3 before it was ready\nno licence"
    page = session.http.get("broken/", headers={"Accept": "text/html"})
    assert page.headers["location"] == "/user/alice/one/bai/apps/broken"
    stranger = httpx.get(f"{session.http.base_url}broken/", headers={"Accept": "text/html"})
    assert "/login?next=" in stranger.headers["location"]
