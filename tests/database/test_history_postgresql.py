"""The hub's notes while a PostgreSQL server crashes and comes back."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

import pytest

from bai_spawner.history import History
from bai_spawner.reasons import End, Ending, Status
from bai_spawner.records import Records, RecordsError
from tests.postgres import Postgres

pytest.register_assert_rewrite("tests.records_contract")

from tests.records_contract import facts  # noqa: E402

SESSIONS = [f"s{number}" for number in range(20)]


async def test_a_server_that_crashes_and_comes_back_has_everything_in_its_order(
    postgres: Postgres,
) -> None:
    url = postgres.create_database("history-crash")
    history = History(url, "hub", logging.getLogger("tests.history"))
    try:
        for session in SESSIONS:
            await history.begin(facts(session))
            history.note(session, Status.PREPARING)
        postgres.kill()
        try:
            for session in SESSIONS:
                history.note(session, Status.RUNNING)
            for session in SESSIONS:
                history.end(session, End(Ending.IDLE), f"the log of {session}")
                history.end(session, End(Ending.USER))
            history.publish("news", "{}")
            noted = datetime.now(UTC)
            await history.settled()
            with pytest.raises(RecordsError):
                await history.begin(facts("refused"))
            assert history.unwritten >= 3 * len(SESSIONS)
        finally:
            postgres.start()
        history.retry()
        await history.settled()
        assert history.unwritten == 0
        await history.begin(facts("later"))
    finally:
        history.close()
    records = Records(url)
    for session in SESSIONS:
        found = records.get(session)
        assert found
        times = [change.at for change in found.changes]
        assert [c.status for c in found.changes] == [
            "pending",
            "preparing",
            "running",
            "terminated",
        ]
        assert times == sorted(times)
        assert times[-1] <= noted
        assert found.end == End(Ending.IDLE)
        assert records.log(session) == f"the log of {session}"
    assert records.published("hub", "news")
    assert records.get("refused") is None
    assert records.get("later")
    records.close()


async def test_connections_that_the_server_cut_are_no_reason_to_refuse_a_launch(
    postgres: Postgres,
) -> None:
    url = postgres.create_database("history-cut")
    history = History(url, "hub", logging.getLogger("tests.history"))
    try:
        await history.begin(facts("before"))
        postgres.kill()
        postgres.start()
        await history.begin(facts("after"))
    finally:
        history.close()
