"""``bai-spawner``: what an administrator does at a terminal, on the engine's host.

Nothing here changes a setting of the host or of a hub that runs. Every command ends with
status 0 when what was asked for was done and found well, 1 when not, 2 for wrong arguments.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from bai_spawner.catalog import load_catalog
from bai_spawner.commands import probe, setup, verify
from bai_spawner.commands.arguments import Arguments
from bai_spawner.errors import BaiError

CATALOG = "BAI_CATALOG"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; its exit status."""
    asked = _parser().parse_args(arguments)
    try:
        catalog = load_catalog(asked.catalog)
        said = Arguments(
            catalog=catalog,
            strategy=getattr(asked, "strategy", None) or "",
            device=getattr(asked, "device", None) or "",
            share=getattr(asked, "share", None) or "",
            image=getattr(asked, "image", None) or "",
            markdown=getattr(asked, "markdown", False),
        )
        return int(asked.run(said))
    except BaiError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("bai-spawner", description="Compute sessions for JupyterHub.")
    topics = parser.add_subparsers(title="topics", required=True, metavar="TOPIC")
    gpu = topics.add_parser("gpu", help="GPUs of this host, and what keeps sessions to shares")
    verbs = gpu.add_subparsers(title="commands", required=True, metavar="COMMAND")

    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument(
        "--catalog",
        type=Path,
        metavar="FILE",
        default=Path(os.environ.get(CATALOG) or "catalog.yaml"),
        help=f"the hub's catalogue (${CATALOG}, else ./catalog.yaml)",
    )
    found = verbs.add_parser(
        "probe", parents=[shared], help="what this host can enforce, and why not more"
    )
    found.set_defaults(run=probe.run)

    needed = verbs.add_parser(
        "setup", parents=[shared], help="print what a strategy needs; nothing is changed"
    )
    needed.add_argument("strategy", choices=setup.STRATEGIES)
    needed.add_argument("--share", metavar="FGPU", help="mps-v2: the one size of shares")
    needed.set_defaults(run=setup.run)

    held = verbs.add_parser(
        "verify", parents=[shared], help="start sessions on an idle GPU, and try to get more"
    )
    held.add_argument("strategy", choices=setup.STRATEGIES)
    held.add_argument("--device", metavar="UUID", help="the GPU; the first that is handed out")
    held.add_argument("--share", metavar="FGPU", help="the smallest that can be had if unset")
    held.add_argument("--image", help="a session image; the first of the catalogue if unset")
    held.add_argument("--markdown", action="store_true", help="print the table for a page")
    held.set_defaults(run=verify.run)
    return parser


if __name__ == "__main__":
    sys.exit(main())
