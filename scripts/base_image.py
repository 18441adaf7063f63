"""The distribution's image, from wherever it can be had.

First what the engine has, then a registry, then the distribution's own archive: a
machine that reaches no registry still builds.
"""

import shutil
import subprocess

import docker
from docker.errors import APIError, ImageNotFound
from requests.exceptions import RequestException

from debian import install
from progress import SetupError, phase

SUITE = "trixie"
IMAGE, TAG = "debian", f"{SUITE}-slim"

# What the registry's slim image leaves out, too.
_LEFT_OUT = ("man", "info", "doc", "locale", "lintian")


def ensure_base(client: docker.APIClient) -> None:
    """See to it that the engine has the image.

    Raises:
        SetupError: no source has it.
    """
    try:
        client.inspect_image(f"{IMAGE}:{TAG}")
    except ImageNotFound:
        refusal = _pull(client)
        if refusal:
            print(f"{IMAGE}:{TAG}: not pulled ({refusal}): made from packages", flush=True)
            _make(client)


def _pull(client: docker.APIClient) -> str:
    """Why the pull failed; empty when it did not."""
    try:
        for event in client.pull(IMAGE, tag=TAG, stream=True, decode=True):
            if "error" in event:
                return str(event["error"])
    except APIError as error:
        return str(error.explanation)
    except RequestException as error:
        return type(error).__name__
    return ""


def _make(client: docker.APIClient) -> None:
    """Import a minimal system made of the distribution's packages."""
    if not shutil.which("mmdebstrap") and not install("mmdebstrap"):
        raise SetupError(
            f"{IMAGE}:{TAG} cannot be pulled: connect to a registry, or install mmdebstrap"
        )
    exclude = [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in _LEFT_OUT]
    command = ["mmdebstrap", "--variant=minbase", "--include=ca-certificates", *exclude, SUITE, "-"]
    with phase(f"{IMAGE}:{TAG}: mmdebstrap"):
        made = subprocess.run(command, capture_output=True, check=False)
        if made.returncode:
            last = made.stderr.decode(errors="replace").strip().splitlines()[-1:]
            raise SetupError(f"mmdebstrap failed: {' '.join(last)}")
        client.import_image_from_data(made.stdout, repository=IMAGE, tag=TAG)
