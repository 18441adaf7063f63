"""What a terminal says first: what was granted, what stays, in lines that fit."""

from __future__ import annotations

from pathlib import Path

from bai_spawner.server_extension.greeting import WIDTH, greeting
from bai_spawner.server_extension.mounts import HOME, Folder

GRANTED = {
    "BAI_SESSION_NAME": "tables7",
    "CPU_LIMIT": "2",
    "MEM_LIMIT": str(4 * 2**30),
    "BAI_FGPU": "1.5",
    "BAI_GPU_MEMORY_MIB": "12288",
}


def folder(name: str, *, writable: bool = True) -> Folder:
    return Folder(name, HOME / name, writable)


def test_it_says_what_was_granted_and_what_is_kept() -> None:
    mounted = [folder(".local"), folder("corpus", writable=False), folder("data")]
    assert greeting(GRANTED, mounted).splitlines() == [
        "Session tables7: 2 CPU cores, 4 GiB of memory and 1.5 fGPU with 12 GiB.",
        "Kept when it ends: .local, corpus (read only) and data. Everything else is",
        "deleted.",
    ]


def test_without_a_folder_it_says_that_all_is_deleted() -> None:
    said = greeting({**GRANTED, "CPU_LIMIT": "1", "BAI_FGPU": ""}, [])
    assert said.splitlines() == [
        "Session tables7: 1 CPU core and 4 GiB of memory.",
        "No folder is mounted: every file is deleted when it ends.",
    ]


def test_where_nothing_is_told_there_is_a_greeting_all_the_same() -> None:
    odd = {"CPU_LIMIT": "two", "MEM_LIMIT": "", "BAI_GPU_MEMORY_MIB": "12288"}
    assert greeting(odd, []).splitlines()[0] == "Session."


def test_many_folders_are_all_named_in_lines_that_fit() -> None:
    names = [f"folder-{number:02}-of-the-group" for number in range(40)]
    said = greeting(GRANTED, [folder(name) for name in names])
    assert all(len(line) <= WIDTH for line in said.splitlines())
    assert all(name in said for name in names)


def test_no_folder_sends_a_terminal_anything_but_text() -> None:
    hostile = Folder("a\x1b]0;b\x07\nc", Path("/home/work/x"), writable=True)
    said = greeting(GRANTED, [hostile])
    assert "\x1b" not in said
    assert "\x07" not in said
    assert "a\\x1b]0;b\\x07\\nc" in said
