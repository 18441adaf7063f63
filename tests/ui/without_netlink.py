"""Become a program that is not told when the host's networks change.

Chromium hears from the kernel of each address that comes or goes, and fails every request that
waits for a connection then, with ``ERR_NETWORK_CHANGED``. Docker's networks and containers, those
of other tests too, come and go all the time. A filter that refuses netlink sockets, as a kernel
without them does, leaves Chromium with the networks that it began with: see
https://docs.kernel.org/userspace-api/seccomp_filter.html and ``AddressTrackerLinux`` in Chromium.

python without_netlink.py chromium --headless
"""

import ctypes
import errno
import os
import platform
import shlex
import struct
import sys
from pathlib import Path
from typing import NoReturn

AF_NETLINK = 16
PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS = 22, 38
SECCOMP_MODE_FILTER = 2
ALLOW, REFUSE = 0x7FFF0000, 0x00050000 | errno.EAFNOSUPPORT
LOAD, IF_EQUAL, RETURN = 0x20, 0x15, 0x06
"""Of classic BPF: load a word, jump if equal, return; all by a constant."""
SOCKET = {"x86_64": 41, "aarch64": 198}
"""The number of the system call, by machine."""
NUMBER, FAMILY = 0, 16
"""Where ``struct seccomp_data`` has the system call's number and its first argument."""


class Program(ctypes.Structure):
    """``struct sock_fprog``."""

    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def refuse_netlink() -> None:
    """For this process and all it becomes or starts. Raises `OSError` where it cannot be had."""
    steps = [
        (LOAD, 0, 0, NUMBER),
        (IF_EQUAL, 0, 3, SOCKET[platform.machine()]),
        (LOAD, 0, 0, FAMILY),
        (IF_EQUAL, 0, 1, AF_NETLINK),
        (RETURN, 0, 0, REFUSE),
        (RETURN, 0, 0, ALLOW),
    ]
    code = b"".join(struct.pack("=HBBI", *step) for step in steps)
    program = Program(len(steps), code)
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    nothing = ctypes.c_ulong(0)
    for option, value, extra in (
        (PR_SET_NO_NEW_PRIVS, ctypes.c_ulong(1), nothing),
        (PR_SET_SECCOMP, ctypes.c_ulong(SECCOMP_MODE_FILTER), ctypes.byref(program)),
    ):
        if prctl(option, value, extra, nothing, nothing):
            raise OSError(ctypes.get_errno(), "prctl")


def command_for(program: str, folder: Path) -> Path:
    """An executable file in a folder, which becomes the program like this."""
    made = folder / Path(program).name
    command = shlex.join([sys.executable, __file__, program])
    made.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
    made.chmod(0o755)
    return made


def main(command: list[str]) -> NoReturn:
    """Become ``command``."""
    if platform.machine() in SOCKET:
        refuse_netlink()
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1:])
