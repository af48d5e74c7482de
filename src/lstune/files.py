"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

__all__ = ["replacing", "write_whole"]


@contextmanager
def replacing(path: str | Path, *, durable: bool = False) -> Iterator[IO[bytes]]:
    """A file to write to that takes the place of `path` when the block has ended without an error.

    A reader, or a process after a crash, meets the old file or the new one, whole; several threads and
    processes may write the same file, and the last one stays. durable: wait until the disk has it, so that
    this holds after a power cut too. Raises OSError, and then leaves the old file as it was.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.tmp")
    try:
        with open(temporary, "wb") as file:
            yield file
            if durable:
                file.flush()
                os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_whole(path: str | Path, content: str | bytes, *, durable: bool = False) -> None:
    """Write a file's content, text as UTF-8, see `replacing`."""
    data = content.encode() if isinstance(content, str) else content
    with replacing(path, durable=durable) as file:
        file.write(data)
