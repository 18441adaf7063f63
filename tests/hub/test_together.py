"""Several sessions of one form (R5): all of them or none, each a server of its own."""

from __future__ import annotations

from collections.abc import Callable

from bai_spawner.reasons import Ending, Tab
from bai_spawner.records import Query, Records, SessionRecord
from tests.deployment import Deployment, Visitor, eventually
from tests.session import Session


def asked(sessions: int, **fields: str) -> dict[str, str]:
    """The form for so many sessions, as small as they get."""
    return {"sessions": str(sessions), "alone": "1", "preset": "", **fields}


def ready(user: Visitor, sessions: int) -> dict[str, str]:
    """By server, the names of the sessions, once so many are ready."""

    def names() -> dict[str, str]:
        found = {s: m["display_name"] for s, m in user.servers().items() if m["ready"]}
        return found if len(found) == sessions else {}

    found = eventually(names, seconds=60)
    assert found, user.servers()
    return dict(found)


def test_several_sessions_start_under_numbered_names(deployment: Deployment, user: Visitor) -> None:
    page = user.post_form(asked(2, session_name="run", env="A=1"))
    assert page.is_success, page.text
    names = ready(user, 2)
    assert sorted(names.values()) == ["run1", "run2"]
    assert names["one"] == "run1", "the form's own server is the first"
    for server, name in names.items():
        container = deployment.container(user.user, server)
        assert container.labels["bai.session"] == name
        model = user.servers()[server]
        assert model["user_options"]["env"] == {"A": "1"}
        assert Session(deployment, user, server).http.get("/api/status").is_success
    notes = [
        token["note"]
        for token in user.api("GET", f"/users/{user.user}/tokens").json()["api_tokens"]
    ]
    assert not [note for note in notes if "together" in note], "the token of the starts is gone"


def test_unnamed_sessions_share_a_drawn_word(user: Visitor) -> None:
    assert user.post_form(asked(2)).is_success
    one, other = sorted(ready(user, 2).values())
    assert (one[-1], other[-1], one[:-1]) == ("1", "2", other[:-1])


def test_with_policy_for_one_less_none_starts_and_nothing_is_left(
    deployment: Deployment, user: Visitor
) -> None:
    """Q10."""
    records = Records(f"sqlite:///{deployment.state / 'records.sqlite'}")
    page = user.post_form(asked(3, session_name="many"))
    assert page.status_code == 400
    assert "0 in use + 3 asked &gt; 2 allowed" in page.text
    assert 'value="many"' in page.text, "what was typed is kept"
    assert records.page(deployment.hub_id, Query(user=user.user)).total == 0
    assert not [c for c in deployment.containers() if c.labels["bai.user"] == user.user]
    assert eventually(lambda: not user.servers())
    assert user.post_form(asked(2), "two").is_success, "nothing is held"
    ready(user, 2)
    records.close()


def test_the_pending_page_has_the_progress_and_the_stop_of_each(
    deployment: Deployment, user: Visitor
) -> None:
    (deployment.state / "faults" / "create").write_text('{"delay": 3}')
    page = user.post_form(asked(2, session_name="slow"))
    assert page.text.count("data-progress-url=") == 2
    assert "Stop slow1" in page.text
    assert "Stop slow2" in page.text
    ready(user, 2)


def test_what_the_hub_will_not_start_gives_back_its_share_and_its_record_says_why(
    deployment: Deployment, newcomer: Callable[..., Visitor]
) -> None:
    """For users of this name the hub itself allows one named server, which no policy knows."""
    user = newcomer("single")
    records = Records(f"sqlite:///{deployment.state / 'records.sqlite'}")
    assert user.post_form(asked(2, session_name="run")).is_success

    def other() -> SessionRecord | None:
        found = records.page(deployment.hub_id, Query(user=user.user, tab=Tab.OTHERS)).sessions
        return found[0] if found else None

    refused = eventually(other, seconds=30)
    assert refused is not None
    assert refused.facts.name == "run2"
    assert refused.end.ending is Ending.START
    assert "the hub answered 400" in refused.end.words
    assert "maximum of 1 named servers" in refused.end.words
    ready(user, 1)
    assert len([c for c in deployment.containers() if c.labels["bai.user"] == user.user]) == 1
    records.close()
