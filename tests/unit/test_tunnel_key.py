"""The key of a session's tunnels: whose it is, and where the secret of all keys is kept."""

from __future__ import annotations

import hashlib
import hmac
import logging
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bai_spawner.runtime import BaiRuntime
from bai_spawner.tunnel import (
    KEY_FILE,
    SECRET_BYTES,
    key_of,
    path,
    read_key,
    read_or_make_secret,
)
from tests.examples import SHIPPED_CATALOG

SECRET = bytes(range(32))


def names(folder: Path) -> list[str]:
    """What is in a folder."""
    return [found.name for found in folder.iterdir()]


def test_a_key_is_the_hmac_of_the_sessions_id_for_this_use() -> None:
    expected = hmac.new(SECRET, b"bai-tunnel/1:0123", hashlib.sha256).hexdigest()
    assert key_of(SECRET, "0123") == expected


def test_another_session_or_another_deployment_has_another_key() -> None:
    keys = {key_of(SECRET, "0123"), key_of(SECRET, "0124"), key_of(SECRET[::-1], "0123")}
    assert len(keys) == 3


def test_an_apps_tunnel_has_its_own_address() -> None:
    assert path("board") == "bai/tunnel/board"


def test_a_session_reads_what_the_hub_wrote(tmp_path: Path) -> None:
    file = tmp_path / "tunnel.key"
    assert read_key(file) == ""
    file.write_text(key_of(SECRET, "0123"))
    assert read_key(file) == key_of(SECRET, "0123")
    assert str(KEY_FILE) == "/run/bai/tunnel.key"


@pytest.mark.parametrize(
    "content", [b"", b"0" * 63, b"0" * 65, b"G" * 64, b"\xff" * 64, b"0" * 10**6]
)
def test_a_file_that_holds_no_key_is_refused_and_not_shown(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "tunnel.key"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=re.escape(f"{file} must ")) as raised:
        read_key(file)
    told = str(raised.value).replace(str(file), "")
    assert len(told) < 200
    assert "0000" not in told


def test_a_folder_in_the_place_of_the_key_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="must be a text that can be read"):
        read_key(tmp_path)


def test_the_secret_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "state" / "tunnel_secret"
    made = read_or_make_secret(file)
    assert len(made) == SECRET_BYTES
    assert file.stat().st_mode & 0o777 == 0o600
    assert read_or_make_secret(file) == made
    assert read_or_make_secret(tmp_path / "another") != made
    assert names(file.parent) == ["tunnel_secret"]


def test_all_who_make_it_at_once_get_the_same(tmp_path: Path) -> None:
    for attempt in range(20):
        file = tmp_path / str(attempt) / "tunnel_secret"
        together = threading.Barrier(8)

        def make(file: Path = file, together: threading.Barrier = together) -> bytes:
            together.wait()
            return read_or_make_secret(file)

        with ThreadPoolExecutor(8) as pool:
            found = {one.result() for one in [pool.submit(make) for _ in range(8)]}
        assert found == {file.read_bytes()}
        assert names(file.parent) == ["tunnel_secret"]


@pytest.mark.parametrize("length", [0, 1, 31])
def test_a_secret_that_is_too_short_is_refused_and_left_alone(tmp_path: Path, length: int) -> None:
    file = tmp_path / "tunnel_secret"
    file.write_bytes(b"x" * length)
    with pytest.raises(ValueError, match=f"has {length} bytes, and must have at least 32"):
        read_or_make_secret(file)
    assert file.read_bytes() == b"x" * length


def test_a_place_where_no_secret_can_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        read_or_make_secret(tmp_path / "file" / "tunnel_secret")


def hub(state: Path) -> BaiRuntime:
    """A hub that has just started."""
    return BaiRuntime(
        catalog_file=str(SHIPPED_CATALOG), state_dir=str(state), apps_url="http://localhost"
    )


def test_a_hub_has_the_same_keys_after_a_restart(tmp_path: Path) -> None:
    key = hub(tmp_path).tunnel_key("0123")
    assert key == key_of((tmp_path / "tunnel_secret").read_bytes(), "0123")
    assert hub(tmp_path).tunnel_key("0123") == key
    assert hub(tmp_path).tunnel_key("0124") != key


def test_where_apps_are_not_opened_there_is_no_key(tmp_path: Path) -> None:
    runtime = BaiRuntime(catalog_file=str(SHIPPED_CATALOG), state_dir=str(tmp_path))
    assert runtime.tunnel_key("0123") == ""
    assert list(tmp_path.iterdir()) == []


def test_a_secret_that_cannot_be_used_costs_tunnels_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "tunnel_secret"
    file.write_bytes(b"short")
    runtime = hub(tmp_path)
    runtime.log = logging.getLogger("hub")
    assert runtime.tunnel_key("0123") == ""
    assert "has 5 bytes" in caplog.text
    file.unlink()
    assert runtime.tunnel_key("0123") == key_of(file.read_bytes(), "0123")
