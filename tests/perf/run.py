"""Measure, and print tables: `make bench`, or `make bench ARGS="--only decisions"`.

A number is worth something next to the one that was measured beside it. Nothing is
asserted; what was started is removed, images are kept for the next time.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

# the repository, and how its scripts import each other
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(1, str(Path(__file__).resolve().parents[2] / "scripts"))

import docker

from progress import SetupError, fail
from tests.perf.app_access import measure_app_access
from tests.perf.availability import answers
from tests.perf.decisions import decisions, decisions_on_devices
from tests.perf.form import forms
from tests.perf.inside import measure_inside
from tests.perf.live import live
from tests.perf.machine import facts
from tests.perf.pages import pages
from tests.perf.placement import refusals
from tests.perf.reconcile import measure_reconciling
from tests.perf.records import records
from tests.perf.start import measure_starts

PARTS = (
    "start",
    "inside",
    "apps",
    "decisions",
    "placement",
    "form",
    "records",
    "pages",
    "live",
    "reconcile",
)
STARTS = 9


def main() -> int:
    """Run the parts that were asked for."""
    asked = _arguments()
    # also when it is ended from outside, what was started is removed
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    client = docker.from_env()
    say(facts(client))
    try:
        if asked.only in {None, "start"}:
            measure_starts(client, asked.starts, say)
        if asked.only in {None, "inside"}:
            measure_inside(client, say)
        if asked.only in {None, "apps"}:
            measure_app_access(client, say)
    except SetupError as error:
        return fail(error)
    for measured in _without_engine(asked.only):
        say(measured)
    if asked.only in {None, "reconcile"}:
        measure_reconciling(client, say)
    return 0


def _without_engine(only: str | None) -> Iterator[str]:
    """The tables of the parts that need no engine."""
    if only in {None, "decisions"}:
        yield decisions()
    if only in {None, "decisions", "placement"}:
        yield decisions_on_devices()
    if only in {None, "placement"}:
        yield from refusals()
    if only in {None, "form"}:
        yield forms()
        yield answers()
    if only in {None, "records"}:
        yield from records()
    if only in {None, "pages"}:
        yield pages()
    if only in {None, "live"}:
        yield from live()


def say(text: str) -> None:
    """Print at once, into a pipe too: a run takes minutes."""
    print(text, flush=True)  # noqa: T201 - it talks to a terminal


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure, and print tables.")
    parser.add_argument(
        "--starts", type=_count, default=STARTS, help="of each variant (%(default)s)"
    )
    parser.add_argument("--only", choices=PARTS, help="one part instead of all")
    return parser.parse_args()


def _count(text: str) -> int:
    if (count := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"must be 1 or more, not {count}")
    return count


if __name__ == "__main__":
    sys.exit(main())
