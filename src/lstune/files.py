"""Files that are written whole or not at all, and what reading a damaged one can raise."""

from __future__ import annotations

import json
import os
import stat
import struct
import threading
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any
from zipfile import BadZipFile

__all__ = ["DAMAGED", "read_object", "replacing", "write_whole"]

# What comes of reading a .npz file that was cut or has flipped bits, or a file with other contents than its
# name says: zipfile has a NotImplementedError and a RuntimeError too for what a flipped bit can ask of it.
DAMAGED = (
    ArithmeticError,
    AttributeError,
    BadZipFile,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)


@contextmanager
def replacing(path: str | Path, *, durable: bool = False) -> Iterator[IO[bytes]]:
    """A file to write to that takes the place of `path` when the block has ended without an error.

    A reader, or a process after a crash, meets the old file or the new one, whole; several threads and
    processes may write the same file, and the last one stays. durable: wait until the disk has it, so that
    this holds after a power cut too. Raises OSError, and then leaves the old file as it was.

    A link stays, and the file that it leads to is written. What is there and no regular file, a pipe say, is
    written to as it stands.
    """
    if _is_special(path):
        with open(path, "wb") as file:
            yield file
        return
    path = Path(os.path.realpath(path))
    # A name may be as long as the file system allows, and this one is longer.
    temporary = path.with_name(f".{path.name[:40]}.{os.getpid()}-{threading.get_ident()}.tmp")
    try:
        with open(temporary, "wb") as file:
            yield file
            if durable:
                file.flush()
                os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _is_special(path: str | Path) -> bool:
    """Whether there is something at `path`, or where it leads to, that no file can take the place of."""
    try:
        there = os.stat(path)
    except FileNotFoundError:
        return False
    if not stat.S_ISREG(there.st_mode):
        return True
    # /dev/stdout may lead to a file that was removed.
    return os.path.islink(path) and not os.path.exists(os.path.realpath(path))


def write_whole(path: str | Path, content: str | bytes, *, durable: bool = False) -> None:
    """Write a file's content, text as UTF-8, see `replacing`."""
    data = content.encode() if isinstance(content, str) else content
    with replacing(path, durable=durable) as file:
        file.write(data)


def read_object(path: str | Path, names: Iterable[str] = ()) -> dict[str, Any]:
    """Read a JSON file that must hold an object with these `names`. Raises OSError or ValueError."""
    data = json.loads(Path(path).read_text(encoding="utf-8"))
    if not isinstance(data, dict):
        raise ValueError(f"it holds {type(data).__name__}, no object")
    if missing := [name for name in names if name not in data]:
        raise ValueError(f"it lacks {', '.join(missing)}")
    return data
