"""Small images for tests, made in a moment from what is on the engine already."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Sequence
from typing import Any

import docker

BASE = "bai-spawner/base:3.13"
FILL_SHM = (
    "import mmap, os; f = os.open('/dev/shm/x', os.O_RDWR | os.O_CREAT); "
    "os.ftruncate(f, 2**28); m = mmap.mmap(f, 2**28); m.write(b'x' * 2**28)"
)
"""Writes more to shared memory than a session has."""
FAILING = {
    "bai-test/never:1": ["sh", "-c", "echo still thinking; exec sleep 1000"],
    "bai-test/dies:1": ["sh", "-c", "echo 'last words <b>bold</b>'; exit 3"],
    "bai-test/bus:1": [
        "python3",
        "-c",
        FILL_SHM,
    ],
}

APPS = "bai-test/apps:1"
TELLING = """
import json, sys
from tornado.ioloop import IOLoop
from tornado.web import Application, RequestHandler
from tornado.websocket import WebSocketHandler
heard = []
def hear(handler):
    request = handler.request
    told = dict(path=request.uri, method=request.method, headers=dict(request.headers))
    heard.append(dict(told, body=request.body.decode("latin-1")))
    return told
class Tell(RequestHandler):
    def get(self):
        self.add_header("Set-Cookie", "planted=1; Domain=localhost; HttpOnly")
        self.add_header("Set-Cookie", "jupyterhub-hub-login=planted; Path=/")
        self.write(json.dumps(hear(self)))
    post = get
class Say(RequestHandler):
    def get(self):
        hear(self)
        for line in self.get_arguments("header"):
            name, _, value = line.partition(": ")
            (self.add_header if name == "Set-Cookie" else self.set_header)(name, value)
        self.write(self.get_argument("body", ""))
class Heard(RequestHandler):
    def get(self):
        self.write(json.dumps(heard))
        heard.clear()
class Echo(WebSocketHandler):
    def prepare(self):
        hear(self)
    def check_origin(self, origin):
        return True
    def on_message(self, message):
        self.write_message(message)
ways = [("/ws", Echo), ("/say", Say), ("/heard", Heard), ("/.*", Tell)]
Application(ways).listen(int(sys.argv[1]), "127.0.0.1")
IOLoop.current().start()
"""
"""An app that tells what it was sent, plants cookies, and echoes messages at ``/ws``.

At ``/say`` it answers with the body and the headers that its query names, and at ``/heard`` with
all that it was sent since that was asked last: what a hostile app would do.
"""
_COMMAND = ["/opt/bai/bin/python", "-c", TELLING, "{port}"]
TELLS = {"name": "tells", "title": "Tells", "command": _COMMAND}
BESIDE = {"name": "beside", "title": "Beside", "command": _COMMAND}
"""The same again, for what one app does to another."""

MADE_FROM = "bai-test.made-from"
"""A label: the digest of what an image was made from."""
DEBIAN = "debian:trixie-slim"
"""What the session images are built from. It has perl, and no Python."""
LIGHT = "bai-test/light:1"
PORT = 8888
ANSWER = r"""
use IO::Socket::INET;
my $door = IO::Socket::INET->new(LocalPort => 8888, Listen => 64, ReuseAddr => 1) or die $@;
$SIG{TERM} = sub { exit 0 };
while (my $visitor = $door->accept) {
    while (defined(my $line = <$visitor>)) { last if $line =~ /^\r?\n$/ }
    print $visitor "HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n",
        "Content-Length: 2\r\nConnection: close\r\n\r\n{}";
    close $visitor;
}
"""


def ensure_failing_images(client: docker.DockerClient) -> None:
    """Give the session image a command that never answers, and one that ends at once."""
    for reference, command in FAILING.items():
        derive(client, BASE, reference, command)


def ensure_apps_image(client: docker.DockerClient) -> None:
    """A session image with two apps that tell what they are sent."""
    label = f"LABEL bai-spawner.apps={json.dumps(json.dumps([TELLS, BESIDE]))}"
    command: list[str] = client.images.get(BASE).attrs["Config"]["Cmd"]
    derive(client, BASE, APPS, command, label)


def ensure_light_image(client: docker.DockerClient) -> None:
    """A session that answers whatever is asked of it, in a few megabytes and no time at all."""
    derive(client, DEBIAN, LIGHT, ["perl", "-e", ANSWER])


def derive(
    client: docker.DockerClient, base: str, reference: str, command: Sequence[str], *more: str
) -> None:
    """The base with another command, and more changes; left alone where it is as it should be."""
    source = f"{client.images.get(base).id} {json.dumps(command)}{''.join(more)}"
    digest = hashlib.sha256(source.encode()).hexdigest()
    with contextlib.suppress(docker.errors.ImageNotFound):
        if client.images.get(reference).labels.get(MADE_FROM) == digest:
            return
    name, _, tag = reference.partition(":")
    container: Any = client.containers.create(base, "true")
    try:
        changes = [f"CMD {json.dumps(command)}", *more, f"LABEL {MADE_FROM}={digest}"]
        container.commit(name, tag, changes=changes)
    finally:
        container.remove()
