"""Names: stable, valid where they are used, and different for different things."""

from __future__ import annotations

import re
import string

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from bai_spawner import names

DNS_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
HUB_SERVER_NAME = re.compile(r"[a-z](?!.*--)[a-z0-9-]{0,28}[a-z0-9]")

anything = st.text(st.characters(exclude_characters="\0"), max_size=80)
alike = st.sampled_from(
    [
        *("ada", "Ada", "ADA", "a-da", "a.da", "a_da", "-ada", "ada-", "a--da", "ada ", " ada"),
        *("\u00e1da", "a\u0301da", "\N{FULLWIDTH LATIN SMALL LETTER A}da", "\ud800", "日本"),
        *("\u0130da", "\u0131da", "ad", "adaa", "a/da", "../ada", "ada\n", "=ada=", "", ".", ".."),
        *("a" * length for length in (63, 64, 65, 300)),
    ]
)
people = anything | alike


@given(people, people, people, people)
@example("a", "b-c", "a-b", "c")
@example("ada", "", "ada", "default")
@example("ada", "x", "ADA", "x")
def test_different_users_or_servers_have_different_containers(
    user: str, server: str, other_user: str, other_server: str
) -> None:
    assume((user, server) != (other_user, other_server))
    first = names.container_name("hub", user, server)
    assert first != names.container_name("hub", other_user, other_server)


@given(anything, people, people)
def test_a_containers_name_is_a_dns_label(hub: str, user: str, server: str) -> None:
    assert DNS_LABEL.fullmatch(names.container_name(hub, user, server))


@given(people, people)
def test_two_hubs_on_one_engine_have_different_containers(user: str, server: str) -> None:
    assert names.container_name("one", user, server) != names.container_name("two", user, server)


@pytest.mark.parametrize(
    ("user", "server", "name"),
    [
        ("ada", "s0123456789abcdef", "bai-ada-s0123456789abcdef-deb1acc1b9092d974304"),
        ("Ada Lovelace", "", "bai-ada-lovelace-default-6f36d9dc679d8f214b7b"),
        ("日本", "s1", "bai-user-s1-40297e2f47687cdd8218"),
    ],
)
def test_a_containers_name_is_readable_and_is_the_same_in_every_release(
    user: str, server: str, name: str
) -> None:
    assert names.container_name("hub", user, server) == name


@given(people)
def test_a_folders_directory_is_one_part_of_a_path(name: str) -> None:
    slug = names.folder_slug(name)
    assert slug not in {"", ".", ".."}
    assert not slug.startswith((".", "-", "~"))
    assert not set(slug) & set("/\\\0\n ")
    assert len(slug.encode("utf-8")) <= 255


@given(people, people)
@example("ada", "Ada")
def test_different_names_have_different_directories_whatever_the_disk_does_with_case(
    name: str, other: str
) -> None:
    assume(name != other)
    assert names.folder_slug(name).lower() != names.folder_slug(other).lower()


@given(people)
def test_the_directory_of_one_name_is_never_the_name_of_another(name: str) -> None:
    slug = names.folder_slug(name)
    assert slug == name or names.folder_slug(slug) != slug


def test_a_plain_name_is_its_own_directory() -> None:
    assert names.folder_slug("ada.lovelace@example-1.org") == "ada.lovelace@example-1.org"


@given(st.text(string.ascii_letters + string.digits, min_size=4, max_size=64))
def test_4_to_64_ascii_letters_and_digits_are_a_session_name(name: str) -> None:
    assert names.is_session_name(name)


NO_SESSION_NAMES = [
    *("", "abc", "a" * 65, "name\n", "\nname", "name\0", "na me", "na-me", "na_me", "na.me"),
    *("name\r\n", "name\u2028", "náme", "nаme", "nameé", "ｎａｍｅ", "name٣", "name²", "näme"),
    *("name\u200b", "<b>name", "name/", "../name", "{name}"),
]


@pytest.mark.parametrize("name", NO_SESSION_NAMES)
def test_nothing_else_is_a_session_name(name: str) -> None:
    assert not names.is_session_name(name)


@given(st.characters(exclude_characters=string.ascii_letters + string.digits), st.integers(0, 8))
def test_one_other_character_anywhere_makes_it_no_session_name(sign: str, place: int) -> None:
    assert not names.is_session_name("sessions"[:place] + sign + "sessions"[place:])


def test_every_bundled_word_is_a_session_name_of_letters_and_stands_there_once() -> None:
    words = names.words()
    assert all(names.is_session_name(word) and word.isalpha() for word in words)
    assert len(set(words)) == len(words) > 100


def test_a_drawn_word_is_one_that_is_free() -> None:
    *taken, free = names.words()
    assert names.draw_word(set(taken)) == free


def test_when_every_word_is_taken_a_number_makes_a_new_one() -> None:
    name = names.draw_word(set(names.words()))
    assert names.is_session_name(name)
    assert name not in names.words()


def test_sessions_that_are_launched_together_are_numbered_from_1() -> None:
    assert names.numbered("run", 1) == ("run",)
    assert names.numbered("run", 3) == ("run1", "run2", "run3")


def test_a_word_for_several_sessions_is_free_with_each_number() -> None:
    *others, word = names.words()
    taken = {f"{other}2" for other in others} | {word}
    assert names.draw_word(taken, 2) == word
    drawn = names.draw_word(taken | {f"{word}1"}, 2)
    assert names.is_session_name(drawn)
    assert drawn not in names.words()


def test_server_names_are_accepted_by_jupyterhub_and_do_not_repeat() -> None:
    drawn = {names.new_server_name() for _ in range(1_000)}
    assert len(drawn) == 1_000
    assert all(HUB_SERVER_NAME.fullmatch(name) for name in drawn)
