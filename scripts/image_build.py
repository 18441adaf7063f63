"""One image, built through the engine's own builder."""

import re
import time
from collections.abc import Mapping

import docker
from docker.errors import APIError, ImageNotFound

from build_context import BuildContext
from progress import SetupError

CONTRACT_LABEL = "bai-spawner.contract"
INPUTS_LABEL = "bai-spawner.inputs"

# Version 1: the image takes the user's variables from /run/bai/env.json and starts with
# `bai-session`.
CONTRACT = "1"

_STEP = re.compile(r"^Step (\d+/\d+) : (.*)")
_SHOWN = 60
_IN_USE_OR_GONE = (404, 409)


def labels_of(client: docker.APIClient, tag: str) -> Mapping[str, str]:
    """The labels of a local image; none when there is no such image."""
    try:
        return client.inspect_image(tag)["Config"].get("Labels") or {}
    except ImageNotFound:
        return {}


def image_id(client: docker.APIClient, tag: str) -> str | None:
    """What the engine calls the image; None when there is none."""
    try:
        return str(client.inspect_image(tag)["Id"])
    except ImageNotFound:
        return None


def remove_unused(client: docker.APIClient, image: str) -> None:
    """Remove an image that no tag and no container needs; leave any other."""
    try:
        client.remove_image(image)
    except APIError as error:
        # gone already, or a session started from it still runs
        if error.status_code not in _IN_USE_OR_GONE:
            raise


def is_current(client: docker.APIClient, tag: str, digest: str) -> bool:
    """Whether `tag` was built from exactly these inputs."""
    return labels_of(client, tag).get(INPUTS_LABEL) == digest


def build(
    client: docker.APIClient,
    tag: str,
    context: BuildContext,
    digest: str,
    args: Mapping[str, str] | None = None,
) -> None:
    """Build and tag; print a line a step with its seconds, and all the output only on failure.

    Raises:
        SetupError: the build failed.
    """
    steps = _Steps(tag)
    try:
        events = client.build(
            fileobj=context.tar(),
            custom_context=True,
            tag=tag,
            buildargs=dict(args or {}),
            labels={CONTRACT_LABEL: CONTRACT, INPUTS_LABEL: digest},
            # the host's way out is the only one that is known to work
            network_mode="host",
            rm=True,
            forcerm=True,
            decode=True,
        )
        for event in events:
            steps.see(event)
    except APIError as error:
        raise SetupError(f"{tag}: the engine refused the build: {error.explanation}") from error
    steps.end()


class _Steps:
    """Turns the builder's output into a line a step."""

    def __init__(self, tag: str) -> None:
        self._tag = tag
        self._output: list[str] = []
        self._began = self._first = time.monotonic()
        self._open = False

    def see(self, event: Mapping[str, str]) -> None:
        """Take one message of the builder's."""
        if "error" in event:
            print("failed\n" + "".join(self._output), flush=True)
            raise SetupError(f"{self._tag}: {event['error'].strip()}")
        text = event.get("stream", "")
        self._output.append(text)
        if step := _STEP.match(text):
            self._close()
            line = " ".join(step[2].split())
            print(f"{self._tag} {step[1]} {line[:_SHOWN]} ... ", end="", flush=True)
            self._open = True

    def _close(self) -> None:
        now = time.monotonic()
        if self._open:
            print(f"{now - self._began:.1f} s", flush=True)
        self._began = now

    def end(self) -> None:
        """The build is done."""
        self._close()
        print(f"{self._tag}: built in {time.monotonic() - self._first:.1f} s", flush=True)
