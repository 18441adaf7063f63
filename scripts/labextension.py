"""JupyterLab's side of a session, compiled from `labextension/` into `labextension/dist`.

Two stamps, each beside what it speaks of, tell from which lock file the packages and from
which sources the result were made: as long as they hold, nothing is done. Node.js and npm
are needed only when one does not.
"""

import re
import shutil
import subprocess
from pathlib import Path

from build_context import BuildContext
from commands import run
from deployment import REPO, TOOLS, environment
from progress import SetupError

FOLDER = REPO / "labextension"
DIST = FOLDER / "dist"
PACKAGES = FOLDER / "node_modules"
PACKAGES_STAMP = PACKAGES / ".installed-from"
BUILD_STAMP = FOLDER / "lib" / ".built-from"

NODE = "20.19 or newer in Node.js 20, or 22.12 or newer"
"""What its bundler, Rspack, runs on: see the key "engines" of `labextension/package.json`."""

_FILES = (".npmrc", "install.json", "package-lock.json", "package.json", "tsconfig.json")
_TREES = ("src", "style")


def sources() -> BuildContext:
    """All that the result depends on, by path in the repository."""
    context = BuildContext()
    for name in _FILES:
        context.add(f"{FOLDER.name}/{name}", (FOLDER / name).read_bytes())
    for name in _TREES:
        context.add_tree(FOLDER / name, f"{FOLDER.name}/{name}/")
    return context


def built() -> BuildContext:
    """The compiled extension, by path in the repository; made now if its sources changed.

    Raises:
        SetupError: Node.js or npm is missing or too old, a package cannot be had, or the
            TypeScript is wrong.
    """
    _ensure_built()
    context = BuildContext()
    context.add(f"{FOLDER.name}/install.json", (FOLDER / "install.json").read_bytes())
    context.add_tree(DIST, f"{FOLDER.name}/dist/")
    return context


def _ensure_built() -> None:
    digest = sources().digest()
    if DIST.is_dir() and _read(BUILD_STAMP) == digest:
        return
    _check_node()
    _ensure_packages()
    # a build that fails leaves nothing that the old stamp could speak of
    BUILD_STAMP.unlink(missing_ok=True)
    run(
        "npm run build in labextension",
        ["npm", "--prefix", FOLDER, "run", "--silent", "build"],
        "its sources are wrong",
        {"npm_config_update_notifier": "false"},
    )
    BUILD_STAMP.write_text(digest)


def _ensure_packages() -> None:
    context = BuildContext()
    for name in ("package.json", "package-lock.json"):
        context.add(name, (FOLDER / name).read_bytes())
    digest = context.digest()
    if _read(PACKAGES_STAMP) == digest:
        return
    # no package has to run anything to be installed, so none may
    options = ["--ignore-scripts", "--no-audit", "--no-fund"]
    run(
        "npm ci in labextension",
        ["npm", "--prefix", FOLDER, "ci", *options],
        "npm needs a registry that has these packages (npm_config_registry), and its CA "
        "(NODE_EXTRA_CA_CERTS)",
        {"npm_config_cache": str(TOOLS / "npm-cache"), "npm_config_update_notifier": "false"},
    )
    PACKAGES_STAMP.write_text(digest)


def _check_node() -> None:
    """See that Node.js is there, and new enough.

    Raises:
        SetupError: it is not.
    """
    path = environment()["PATH"]
    node = shutil.which("node", path=path)
    if not node or not shutil.which("npm", path=path):
        raise SetupError(f"Node.js with npm is missing: install {NODE}")
    command = [node, "--version"]
    told = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    found = re.fullmatch(r"v(\d+)\.(\d+)\..*", told)
    version = (int(found[1]), int(found[2])) if found else (0, 0)
    if not (version >= (22, 12) or (20, 19) <= version < (21, 0)):
        raise SetupError(f"Node.js {told} is too old to compile the labextension: install {NODE}")


def _read(stamp: Path) -> str:
    """What the stamp says; nothing when there is none."""
    try:
        return stamp.read_text()
    except OSError:
        return ""
