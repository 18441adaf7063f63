"""The files an image is built from, in memory, and their fingerprint.

Two contexts with the same files have the same bytes and the same digest, wherever
and whenever they were made. Nothing is written into the repository.
"""

import hashlib
import io
import stat
import tarfile
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class BuildContext:
    """Files by their path in the context, each with whether it is executable."""

    files: dict[str, tuple[bytes, bool]] = field(default_factory=dict)

    def add(self, name: str, content: bytes, *, executable: bool = False) -> None:
        """Put one file in."""
        self.files[name] = (content, executable)

    def add_tree(self, folder: Path, prefix: str = "") -> None:
        """Put in every file below `folder`, but what Python compiled."""
        for path in sorted(folder.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                executable = bool(path.stat().st_mode & stat.S_IXUSR)
                name = prefix + path.relative_to(folder).as_posix()
                self.add(name, path.read_bytes(), executable=executable)

    def digest(self, *more: str) -> str:
        """SHA-256 over names, modes and contents, and over whatever else the result depends on."""
        total = hashlib.sha256(repr(more).encode())
        for name, (content, executable) in sorted(self.files.items()):
            total.update(repr((name, executable, len(content))).encode())
            total.update(content)
        return total.hexdigest()

    def tar(self) -> io.BytesIO:
        """The context as the engine takes it."""
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w") as archive:
            for name, (content, executable) in sorted(self.files.items()):
                entry = tarfile.TarInfo(name)
                entry.size = len(content)
                entry.mode = 0o755 if executable else 0o644
                archive.addfile(entry, io.BytesIO(content))
        stream.seek(0)
        return stream
