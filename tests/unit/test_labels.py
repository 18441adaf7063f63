"""Labels say everything that is needed to find out who holds what."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bai_spawner import labels
from bai_spawner.enforcement import Enforcement, Faults, Level
from bai_spawner.errors import LabelError
from bai_spawner.labels import GpuCap, SessionLabels, Share

shares = st.builds(Share, st.text(), st.integers(1, 10**6), st.integers(1, 10**6))
enforcements = st.builds(
    Enforcement, st.sampled_from(Level), st.sampled_from(Level), st.sampled_from(Faults)
)
caps = st.builds(GpuCap, st.text(), st.integers(0, 2**40), st.integers(0, 100), enforcements)
sessions = st.builds(
    SessionLabels,
    cpu=st.integers(1, 2**16),
    memory=st.integers(0, 2**63),
    shm=st.integers(0, 2**63),
    shares=st.lists(shares, max_size=3).map(tuple),
    folders=st.lists(st.text(), max_size=3).map(tuple),
    gpu=st.none() | caps,
    ssh_port=st.integers(0, 65535),
).map(lambda found: found if found.shares else replace(found, gpu=None))
CAP = GpuCap("memcap", 16179, 20, Enforcement(Level.SESSION, Level.NONE, Faults.CONTEXTS))


@pytest.fixture
def session() -> SessionLabels:
    return SessionLabels(
        hub="hub",
        allocation="0123",
        user="ada",
        server="s1",
        session="work",
        environment="python",
        version="3.13",
        group="default",
        node="local",
        policy="everyone",
        cpu=2,
        memory=4096,
        shm=64,
        shares=(Share("GPU-1", 2, 5),),
        folders=("data:rw",),
    )


@given(sessions)
def test_labels_read_back_as_they_were_written(written: SessionLabels) -> None:
    encoded = labels.encode(written)
    assert all(isinstance(value, str) for value in encoded.values())
    assert labels.decode(encoded) == written


def test_every_label_is_under_our_prefix(session: SessionLabels) -> None:
    assert all(key.startswith("bai.") for key in labels.encode(session))


def test_what_an_image_says_of_gpus_does_not_hide_a_session_that_has_none(
    session: SessionLabels,
) -> None:
    """An image's labels are its containers', too."""
    alone = replace(session, shares=())
    assert labels.decode(labels.encode(alone) | {"bai.gpu.isolation": "mine"}) == alone


def test_a_hub_of_the_version_before_counts_a_share_in_the_same_labels(
    session: SessionLabels,
) -> None:
    """Two hubs on one engine are not upgraded at one moment, and one may be put back."""
    encoded = labels.encode(replace(session, gpu=CAP))
    before = labels.encode(session)
    assert {key: encoded[key] for key in before} == before


def test_what_a_share_comes_to_stands_in_labels_of_its_own(session: SessionLabels) -> None:
    encoded = labels.encode(replace(session, gpu=CAP))
    assert {key: value for key, value in encoded.items() if key.startswith("bai.gpu.")} == {
        "bai.gpu.isolation": "memcap",
        "bai.gpu.memory": "16179",
        "bai.gpu.sm": "20",
        "bai.gpu.enforcement": "memory: session, compute: none, faults: contexts",
        "bai.gpu.verified": "never",
    }
    for key in ("memory", "sm", "enforcement"):
        with pytest.raises(LabelError):
            labels.decode({k: v for k, v in encoded.items() if k != f"bai.gpu.{key}"})


@pytest.mark.parametrize(
    ("quanta", "of", "now", "counts"), [(2, 5, 5, 2), (2, 5, 4, 2), (1, 5, 4, 1), (1, 4, 8, 2)]
)
def test_a_share_counts_in_other_units_rounded_up(
    quanta: int, of: int, now: int, counts: int
) -> None:
    assert Share("GPU-1", quanta, of).of(now) == Share("GPU-1", counts, now)


def test_a_session_of_the_version_before_has_no_port(session: SessionLabels) -> None:
    assert "bai.ssh_port" not in labels.encode(session)
    assert labels.encode(replace(session, ssh_port=31001))["bai.ssh_port"] == "31001"


def test_labels_of_others_do_not_disturb(session: SessionLabels) -> None:
    others = {"maintainer": "someone", "com.docker.compose.project": "x", "bai.later": "y"}
    assert labels.decode(labels.encode(session) | others) == session


def test_a_hub_and_an_allocation_can_be_asked_for_by_label(session: SessionLabels) -> None:
    encoded = labels.encode(session)
    assert encoded[labels.HUB] == "hub"
    assert encoded["bai.allocation"] == "0123"


@pytest.mark.parametrize("key", sorted(labels.encode(SessionLabels(*["x"] * 10, 1, 1, 1))))
def test_a_missing_label_is_an_error(session: SessionLabels, key: str) -> None:
    encoded = labels.encode(session)
    del encoded[key]
    with pytest.raises(LabelError):
        labels.decode(encoded)


@pytest.mark.parametrize(
    ("key", "text"),
    [
        *(("schema", text) for text in ("", "2", "1 ", "one")),
        *(("cpu", text) for text in ("", "two", "1.5", "NaN", "0x1")),
        *(("memory", text) for text in ("4GiB", "None")),
        *(
            ("shares", text)
            for text in ("", "{", "null", "5", "[1]", '[["GPU-1", 1]]', '[["a","b",1]]')
        ),
        *(("folders", text) for text in ("", "null", "7", "[")),
    ],
)
def test_an_unreadable_label_is_an_error_that_says_so(
    session: SessionLabels, key: str, text: str
) -> None:
    with pytest.raises(LabelError, match=r"bai\.schema is|unreadable session labels"):
        labels.decode(labels.encode(session) | {f"bai.{key}": text})


def test_a_container_that_is_not_ours_has_no_session_labels() -> None:
    with pytest.raises(LabelError, match=r"bai\.schema is None"):
        labels.decode({"maintainer": "someone"})
