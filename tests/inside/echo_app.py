"""An app for tests, as an image might declare it: it tells what it is asked.

    python echo_app.py [--socket PATH | --port N] [--pid-file FILE] [--redirect URL] [WORDS …]

Every address answers JSON about the request; ``/ws`` echoes messages; ``/away`` redirects
to ``--redirect``, WebSockets too; ``/exit`` ends the process with the code of its body.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from pathlib import Path

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_unix_socket
from tornado.web import Application, RequestHandler
from tornado.websocket import WebSocketHandler


class Echo(RequestHandler):
    """Tells what was asked."""

    def initialize(self, words: list[str]) -> None:
        self.words = words

    def get(self) -> None:
        self.finish(
            {
                "path": self.request.path,
                "query": self.request.query,
                "host": self.request.host,
                "words": self.words,
                "directory": str(Path.cwd()),
                "variable": os.environ.get("CHOSEN", ""),
                "headers": dict(self.request.headers),
                "token": os.environ.get("JUPYTERHUB_API_TOKEN", ""),
            }
        )

    post = get


class Exit(RequestHandler):
    """Ends the process."""

    def post(self) -> None:
        sys.stdout.write("the last words\n")
        sys.stdout.flush()
        os._exit(int(self.request.body))


class Away(RequestHandler):
    """Sends whoever comes somewhere else."""

    def initialize(self, url: str) -> None:
        self.url = url

    def get(self) -> None:
        self.redirect(self.url)


class Socket(WebSocketHandler):
    """Says everything again."""

    async def on_message(self, message: str | bytes) -> None:
        await self.write_message(f"again: {message!r}")


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--socket")
    parser.add_argument("--port", type=int)
    parser.add_argument("--pid-file", type=Path)
    parser.add_argument("--redirect", default="/")
    parser.add_argument("words", nargs="*")
    asked = parser.parse_args()
    if asked.pid_file:
        with asked.pid_file.open("a") as file:
            file.write(f"{os.getpid()}\n")
    server = HTTPServer(
        Application(
            [
                (r".*/ws", Socket),
                (r".*/exit", Exit),
                (r".*/away", Away, {"url": asked.redirect}),
                (r".*", Echo, {"words": asked.words}),
            ]
        )
    )
    if asked.socket:
        server.add_socket(bind_unix_socket(asked.socket))
    else:
        server.listen(asked.port, "127.0.0.1")
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
