"""The label that declares an image's apps: what it may say, and that nothing else gets through."""

from __future__ import annotations

import contextlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bai_spawner.apps import (
    BUILT_IN,
    LONGEST_LABEL,
    RESERVED,
    TIMEOUT,
    App,
    AppsError,
    parse,
    read,
    to_json,
)

REPO = Path(__file__).parents[2]
BOARD: dict[str, Any] = {
    "name": "board",
    "title": "Board",
    "command": ["/usr/bin/board", "--port", "{port}"],
}


def label(**more: Any) -> str:
    return json.dumps([{**BOARD, **more}])


def without(*keys: str, **more: Any) -> str:
    kept = {key: value for key, value in BOARD.items() if key not in keys}
    return json.dumps([{**kept, **more}])


def test_an_app_is_what_the_label_says_and_the_rest_goes_without_saying() -> None:
    (app,) = parse(label())
    assert app == App("board", "Board", command=("/usr/bin/board", "--port", "{port}"))
    assert (app.icon, app.category, app.asks, app.timeout) == ("", "Other", "", TIMEOUT)
    (app,) = parse(
        label(
            icon="/usr/share/board/icon.svg",
            category="Plots",
            command=["board", "--socket={unix_socket}", "{directory}", "--root", "{base_url}"],
            asks="directory",
            timeout=60,
        )
    )
    assert (app.icon, app.category) == ("/usr/share/board/icon.svg", "Plots")
    assert (app.asks, app.timeout) == ("directory", 60)


def test_a_label_declares_no_apps_one_or_many() -> None:
    assert parse("[]") == ()
    apps = parse(
        json.dumps(
            [
                {"name": f"app-{i}", "title": f"App {i}", "path": f"/lab/tree/{i}.ipynb"}
                for i in range(32)
            ]
        )
    )
    assert [app.name for app in apps] == [f"app-{i}" for i in range(32)]
    assert parse(without("command", port=8080))[0].port == 8080


@pytest.mark.parametrize(
    ("said", "path"),
    [
        ("", "apps"),
        ("{", "apps"),
        ("{}", "apps"),
        ("null", "apps"),
        ("[" * 100_000, "apps"),
        (f"[{'9' * 5000}]", "apps"),
        (" " * (LONGEST_LABEL + 1), "apps"),
        (json.dumps([BOARD] * 33), "apps"),
        ("[1]", "apps[0]"),
        (json.dumps([BOARD, BOARD]), "apps[1].name"),
        (label(other=1), "apps[0]"),
        (without("name"), "apps[0].name"),
        (label(name=""), "apps[0].name"),
        (label(name="Board"), "apps[0].name"),
        (label(name="1board"), "apps[0].name"),
        (label(name="a" * 33), "apps[0].name"),
        (label(name="a/b"), "apps[0].name"),
        (label(name="board\n"), "apps[0].name"),
        (label(name="b(oard|.*)"), "apps[0].name"),
        (label(name=None), "apps[0].name"),
        (label(name=["board"]), "apps[0].name"),
        *((label(name=name), "apps[0].name") for name in sorted(RESERVED)),
        (without("title"), "apps[0].title"),
        (label(title=""), "apps[0].title"),
        (label(title=" Board"), "apps[0].title"),
        (label(title="Bo\u202eard"), "apps[0].title"),
        (label(title="Bo\nard"), "apps[0].title"),
        (label(title="B" * 65), "apps[0].title"),
        (label(title=1), "apps[0].title"),
        (label(category="x" * 33), "apps[0].category"),
        (label(category=None), "apps[0].category"),
        (label(icon="icon.svg"), "apps[0].icon"),
        (label(icon="/icon.png"), "apps[0].icon"),
        (label(icon="/a/../icon.svg"), "apps[0].icon"),
        (label(icon="//host/icon.svg"), "apps[0].icon"),
        (label(icon="/" + "a" * 253 + ".svg"), "apps[0].icon"),
        (label(icon=None), "apps[0].icon"),
        (without("command"), "apps[0]"),
        (label(port=8080), "apps[0]"),
        (without("command", path="/lab", port=8080), "apps[0]"),
        (without("command", path="lab"), "apps[0].path"),
        (without("command", path="//elsewhere.example"), "apps[0].path"),
        (without("command", path="/../hub/"), "apps[0].path"),
        (without("command", path="/lab?token=x"), "apps[0].path"),
        (without("command", path="/"), "apps[0].path"),
        (without("command", path=7), "apps[0].path"),
        (without("command", port=1023), "apps[0].port"),
        (without("command", port=65536), "apps[0].port"),
        (without("command", port=True), "apps[0].port"),
        (without("command", port="8080"), "apps[0].port"),
        (without("command", port=8080.0), "apps[0].port"),
        (without("command", port=8080, asks="directory"), "apps[0].asks"),
        (without("command", port=8080, timeout=3), "apps[0].timeout"),
        (label(command=[]), "apps[0].command"),
        (label(command="board {port}"), "apps[0].command"),
        (label(command=["board"] * 64 + ["{port}"]), "apps[0].command"),
        (label(command=["board", 8080]), "apps[0].command[1]"),
        (label(command=["", "{port}"]), "apps[0].command[0]"),
        (label(command=["{directory}", "{port}"]), "apps[0].command[0]"),
        (label(command=["board", "{port}", "a\0b"]), "apps[0].command[2]"),
        (label(command=["board", "{port}", "\ud800"]), "apps[0].command[2]"),
        (label(command=["board", "{port}", "x" * 2049]), "apps[0].command[2]"),
        (label(command=["board", "{port}", "{0}"]), "apps[0].command[2]"),
        (label(command=["board", "{port}", "{x1}"]), "apps[0].command[2]"),
        (label(command=["board", "{port}", "{home}"]), "apps[0].command[2]"),
        (label(command=["board"]), "apps[0].command"),
        (label(command=["board", "{port}", "{unix_socket}"]), "apps[0].command"),
        (label(command=["board", "{port}", "{directory}"]), "apps[0].asks"),
        (label(asks="file"), "apps[0].asks"),
        (label(asks=None), "apps[0].asks"),
        (label(asks=["directory"]), "apps[0].asks"),
        (label(timeout=0), "apps[0].timeout"),
        (label(timeout=601), "apps[0].timeout"),
        (label(timeout=True), "apps[0].timeout"),
        (label(timeout=1.5), "apps[0].timeout"),
    ],
)
def test_what_a_label_may_not_say_is_refused_by_the_path_of_it(said: str, path: str) -> None:
    with pytest.raises(AppsError) as refused:
        parse(said)
    assert refused.value.path == path
    assert str(refused.value).startswith(f"{path}: ")
    assert len(str(refused.value)) < 400
    assert str(refused.value).isprintable()


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
KEYS = st.sampled_from(["name", "title", "icon", "category", "path", "command", "port", "asks"])


@given(st.text() | VALUES.map(json.dumps))
def test_any_text_is_apps_or_is_refused(said: str) -> None:
    with contextlib.suppress(AppsError):
        assert all(isinstance(app, App) for app in parse(said))


@given(st.dictionaries(KEYS, VALUES, max_size=4))
def test_any_value_at_any_key_makes_an_app_or_is_refused(more: dict[str, Any]) -> None:
    try:
        (app,) = parse(label(**more))
    except AppsError:
        return
    assert re.fullmatch("[a-z][a-z0-9-]{0,31}", app.name)
    assert app.name not in RESERVED
    assert (bool(app.path), bool(app.command), bool(app.port)).count(True) == 1


ARGUMENTS = st.lists(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0{}"), max_size=20),
    max_size=4,
)
NAMES = st.from_regex("[a-z][a-z0-9-]{0,31}", fullmatch=True).filter(lambda n: n not in RESERVED)


@given(
    st.lists(
        st.builds(
            lambda name, arguments, timeout: App(
                name, "A title", command=("run", "{port}", *arguments), timeout=timeout
            ),
            NAMES,
            ARGUMENTS,
            st.integers(1, 600),
        ),
        unique_by=lambda app: app.name,
    )
)
def test_what_is_written_is_read_again(apps: list[App]) -> None:
    assert parse(to_json(apps)) == tuple(apps)


def test_every_key_is_written_and_read_again(tmp_path: Path) -> None:
    apps = (
        App("one", "One", "/one.svg", "Plots", path="/lab"),
        App("two", "Two", port=8080),
        App("three", "Three", command=("x", "{port}{directory}"), asks="directory", timeout=7),
    )
    file = tmp_path / "apps.json"
    file.write_text(to_json(apps))
    assert read(file) == apps


def test_no_file_means_no_apps_and_a_damaged_one_says_what_is_wrong(tmp_path: Path) -> None:
    file = tmp_path / "apps.json"
    assert read(file) == ()
    for content in (b"[", b"\xff", b'[{"name": "Board"}]'):
        file.write_bytes(content)
        with pytest.raises(AppsError):
            read(file)
    with pytest.raises(AppsError, match=re.escape(str(tmp_path))):
        read(tmp_path)


def test_placeholders_are_replaced_once_and_what_replaces_them_is_not_looked_into() -> None:
    app = App("a", "A", command=("run", "{port}", "--at={directory}/{port}", '{"json": {}}{'))
    values = {"port": "80", "directory": "/home/work/{port} {0} {x.__class__}"}
    assert app.filled(values) == [
        "run",
        "80",
        "--at=/home/work/{port} {0} {x.__class__}/80",
        '{"json": {}}{',
    ]


def test_a_brace_that_is_no_placeholder_is_itself() -> None:
    (app,) = parse(label(command=["board", "{port}", '{"a": [1, 2]}', "{", "}{"]))
    assert app.command[2:] == ('{"a": [1, 2]}', "{", "}{")


def test_the_apps_of_every_session_have_names_that_no_label_can_take() -> None:
    assert {app.name for app in BUILT_IN} <= RESERVED
    assert all(app.path for app in BUILT_IN)


def test_the_labels_of_the_images_that_are_shipped_are_accepted() -> None:
    said = (REPO / "images/numpy/Dockerfile").read_text()
    found = re.search(r"bai-spawner\.apps='(.*?)'", said, re.DOTALL)
    assert found
    (app,) = parse(found[1].replace("\\\n", ""))
    assert (app.name, app.asks) == ("tensorboard", "directory")
    for icon in (app.icon, *(app.icon for app in BUILT_IN)):
        assert list(REPO.glob(f"images/*/rootfs{icon}")), icon


def test_what_the_hub_writes_is_no_longer_than_the_label_that_it_read() -> None:
    """Else a label of many letters beyond ASCII would be refused in the session."""
    many = [
        {"name": f"a{n}", "title": "é" * 60, "command": ["x", "é" * 900, "{port}"]}
        for n in range(32)
    ]
    label = json.dumps(many, ensure_ascii=False)
    assert len(label) < LONGEST_LABEL < len(json.dumps(many))
    found = parse(label)
    assert parse(to_json(found)) == found
