"""A running session seen from inside: its processes, its Jupyter API, its kernels."""

from __future__ import annotations

import json

import httpx
from websockets.sync.client import connect

from tests.deployment import Deployment, Visitor


class Session:
    """A running session and its Jupyter API."""

    def __init__(self, deployment: Deployment, user: Visitor, server: str) -> None:
        token = user.api(
            "POST",
            f"/users/{user.user}/tokens",
            json={"scopes": [f"access:servers!server={user.user}/{server}"]},
        ).json()["token"]
        self.container = deployment.container(user.user, server)
        self.http = httpx.Client(
            base_url=f"{deployment.url}/user/{user.user}/{server}",
            headers={"Authorization": f"token {token}"},
            timeout=60,
        )

    def processes(self, needle: str) -> list[str]:
        """Ids of the processes whose command line contains ``needle``."""
        listed = self.run("ps", "-eo", "pid=,args=").splitlines()
        return [line.split()[0] for line in listed if needle in line and "ps -eo" not in line]

    def environ(self, pid: str) -> dict[str, str]:
        """The environment that a process was started with."""
        raw = self.run("cat", f"/proc/{pid}/environ")
        return dict(item.split("=", 1) for item in raw.split("\0") if "=" in item)

    def environ_of(self, needle: str) -> dict[str, str]:
        """The environment of a program that the user's variables have reached, if there is one.

        A shell that starts has children which are gone before they can be looked at.
        """
        for pid in self.processes(needle):
            result = self.container.exec_run(["cat", f"/proc/{pid}/environ"])
            found = dict(i.split("=", 1) for i in result.output.decode().split("\0") if "=" in i)
            if result.exit_code == 0 and "BRACES" in found:
                return found
        return {}

    def run(self, *command: str) -> str:
        result = self.container.exec_run(list(command))
        assert result.exit_code == 0, result.output
        return str(result.output.decode())

    def execute(self, code: str, *, until: str = "idle", seconds: float = 30) -> list[str]:
        """Run code in a new kernel; what it, or the server in its place, wrote to stderr.

        ``until`` is the kernel's state at which to stop listening.
        """
        kernel = self.http.post("/api/kernels", json={}).json()["id"]
        url = f"{self.http.base_url}api/kernels/{kernel}/channels".replace("http", "ws", 1)
        header = {
            "msg_id": "m1",
            "msg_type": "execute_request",
            "session": "s",
            "username": "",
            "version": "5.3",
            "date": "",
        }
        request = {
            "header": header,
            "parent_header": {},
            "metadata": {},
            "channel": "shell",
            "content": {"code": code, "silent": False},
            "buffers": [],
        }
        written: list[str] = []
        with connect(url, additional_headers=dict(self.http.headers), max_size=None) as socket:
            socket.send(json.dumps(request))
            while True:
                message = json.loads(socket.recv(seconds))
                content = message["content"]
                mine = (message["parent_header"] or {}).get("msg_id") == "m1"
                if mine and message["msg_type"] == "stream" and content["name"] == "stderr":
                    written.append(content["text"])
                state = content.get("execution_state")
                if state == until and (mine or until != "idle"):
                    return written
