"""Bytes beside a study, one piece for each trial: what its trainings go on from.

They lie in a folder, or in a table of the database where workers on several machines share a study. Either
way a reader meets a whole piece or none.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from lstune.files import write_whole

__all__ = ["Blobs", "FolderBlobs", "TableBlobs"]


class Blobs(Protocol):
    """Pieces by trial number; every method may be called from several threads."""

    def put(self, number: int, data: bytes) -> None:
        """Keep `data` in place of what there was."""

    def get(self, number: int) -> bytes | None:
        """What was put; None if there is nothing."""

    def drop(self, number: int) -> None:
        """Forget a piece, if there is one."""

    def numbers(self) -> set[int]:
        """The trials that have a piece."""


class FolderBlobs:
    """Pieces as files `000012.npz` in a folder, which is made when it is needed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def put(self, number: int, data: bytes) -> None:
        """Write the file whole or not at all.

        Without waiting for the disk: what a power cut takes is trained again, to the same bits.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        write_whole(self._path(number), data)

    def get(self, number: int) -> bytes | None:
        """Read the file."""
        try:
            return self._path(number).read_bytes()
        except FileNotFoundError:
            return None

    def drop(self, number: int) -> None:
        """Delete the file."""
        self._path(number).unlink(missing_ok=True)

    def numbers(self) -> set[int]:
        """The trials that have a file."""
        return {int(path.stem) for path in self.folder.glob("*.npz") if path.stem.isdigit()}

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:06d}.npz"


class TableBlobs:
    """Pieces in the table `lstune_states` of a database, under the study's name."""

    def __init__(self, engine: Any, study: str) -> None:
        import sqlalchemy as sa

        self._engine = engine
        self._study = study
        binary = sa.LargeBinary(length=2**32 - 1)  # LONGBLOB to MySQL, whose BLOB ends at 64 KiB
        self._table = sa.Table(
            "lstune_states",
            sa.MetaData(),
            sa.Column("study", sa.String(512), primary_key=True),
            sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
            sa.Column("data", binary, nullable=False),
        )
        self._made = False

    def put(self, number: int, data: bytes) -> None:
        """Replace the row in one transaction."""
        import sqlalchemy as sa

        self._make()
        try:
            with self._engine.begin() as connection:
                connection.execute(self._table.delete().where(self._row(number)))
                connection.execute(self._table.insert().values(study=self._study, number=number, data=data))
        except sa.exc.IntegrityError:
            return  # another worker wrote it at this moment: from the same trial, and as good

    def get(self, number: int) -> bytes | None:
        """Read the row."""
        import sqlalchemy as sa

        self._make()
        with self._engine.connect() as connection:
            found = connection.execute(sa.select(self._table.c.data).where(self._row(number))).scalar()
        return None if found is None else bytes(found)

    def drop(self, number: int) -> None:
        """Delete the row."""
        self._make()
        with self._engine.begin() as connection:
            connection.execute(self._table.delete().where(self._row(number)))

    def numbers(self) -> set[int]:
        """The trials that have a row."""
        import sqlalchemy as sa

        self._make()
        with self._engine.connect() as connection:
            query = sa.select(self._table.c.number).where(self._table.c.study == self._study)
            return {int(number) for (number,) in connection.execute(query)}

    def _row(self, number: int) -> Any:
        return (self._table.c.study == self._study) & (self._table.c.number == number)

    def _make(self) -> None:
        import sqlalchemy as sa

        if not self._made:
            try:
                self._table.metadata.create_all(self._engine)
            except (sa.exc.ProgrammingError, sa.exc.IntegrityError):
                self._table.metadata.create_all(self._engine)  # another worker made it at this moment
            self._made = True
