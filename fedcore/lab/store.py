"""The learner's record: one SQLite file in their own data folder; nothing leaves the machine.

Each change is one transaction that is on the disk when the call returns, so that killing a kernel
at any moment loses nothing that was confirmed, and several notebooks may write at once. A damaged
file is set aside under another name and reported, never overwritten.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from platformdirs import user_data_path

VERSION = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS earned (
  key TEXT PRIMARY KEY, points INTEGER NOT NULL, possible INTEGER NOT NULL, skills TEXT NOT NULL,
  number INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS tries (key TEXT PRIMARY KEY, n INTEGER NOT NULL);
"""


class Store:
    """The record at ``path``; it is opened anew for every call, and so serves all threads."""

    def __init__(self, path: Path):
        self.path, self._checked = path, False

    def best(
        self, key: str, points: int, possible: int, skills: tuple[str, ...], once: bool
    ) -> int:
        """Keep the larger of what ``key`` has and ``points``; returns what that added.

        once: what stands there already is final.
        """
        with self._writing() as db:
            row = db.execute("SELECT points FROM earned WHERE key = ?", (key,)).fetchone()
            if row is not None and (once or points <= row[0]):
                return 0
            db.execute(
                "INSERT INTO earned VALUES (?, ?, ?, ?, (SELECT count(*) FROM earned)) "
                "ON CONFLICT (key) DO UPDATE SET points = excluded.points, "
                "possible = excluded.possible, skills = excluded.skills",
                (key, points, possible, json.dumps(skills)),
            )
            return points - (row[0] if row else 0)

    def attempt(self, key: str) -> int:
        """Count one more attempt at ``key``; returns how many there were, this one included."""
        with self._writing() as db:
            db.execute(
                "INSERT INTO tries VALUES (?, 1) ON CONFLICT (key) DO UPDATE SET n = n + 1", (key,)
            )
            return db.execute("SELECT n FROM tries WHERE key = ?", (key,)).fetchone()[0]

    def rows(self) -> list[tuple[str, int, int, tuple[str, ...]]]:
        """[(key, points, possible, skills), ...] in the order in which they were first earned."""
        with self._writing() as db:
            found = db.execute(
                "SELECT key, points, possible, skills FROM earned ORDER BY number, key"
            ).fetchall()
        return [(key, points, possible, tuple(json.loads(s))) for key, points, possible, s in found]

    def tries(self) -> dict[str, int]:
        """{key: number of attempts}."""
        with self._writing() as db:
            return dict(db.execute("SELECT key, n FROM tries ORDER BY key"))

    def merge(self, rows: list[tuple[str, int, int, list[str]]], tries: dict[str, int]) -> None:
        """Take over another record, all of it or nothing: of each key the better counts."""
        with self._writing() as db:
            for key, points, possible, skills in rows:
                db.execute(
                    "INSERT INTO earned VALUES (?, ?, ?, ?, (SELECT count(*) FROM earned)) "
                    "ON CONFLICT (key) DO UPDATE SET points = max(points, excluded.points)",
                    (key, points, possible, json.dumps(skills)),
                )
            for key, n in tries.items():
                db.execute(
                    "INSERT INTO tries VALUES (?, ?) "
                    "ON CONFLICT (key) DO UPDATE SET n = max(n, excluded.n)",
                    (key, n),
                )

    def clear(self) -> None:
        """Forget everything."""
        with self._writing() as db:
            db.execute("DELETE FROM earned")
            db.execute("DELETE FROM tries")

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with closing(self._open()) as db, db:
            db.execute("BEGIN IMMEDIATE")
            yield db

    def _open(self) -> sqlite3.Connection:
        if not self._checked:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            try:
                self._prepare()
            except sqlite3.OperationalError:
                raise  # locked, full, read-only: the file itself may be sound
            except sqlite3.DatabaseError as fault:
                self._set_aside(fault)
                self._prepare()
            self._checked = True
        db = sqlite3.connect(self.path, timeout=20, isolation_level=None)
        db.execute("PRAGMA synchronous = FULL")
        return db

    def _prepare(self) -> None:
        with closing(sqlite3.connect(self.path, timeout=20, isolation_level=None)) as db, db:
            db.execute("BEGIN IMMEDIATE")
            version = db.execute("PRAGMA user_version").fetchone()[0]
            if version > VERSION:
                raise NewerRecord(self.path, version)
            (sound,) = db.execute("PRAGMA quick_check(1)").fetchone()
            if sound != "ok":
                raise sqlite3.DatabaseError(sound)
            for statement in _SCHEMA.strip().split(";")[:-1]:
                db.execute(statement)
            db.execute(f"PRAGMA user_version = {VERSION}")

    def _set_aside(self, fault: Exception) -> None:
        stamp = time.strftime("%Y%m%d-%H%M%S")
        aside = self.path.with_name(f"{self.path.stem}.damaged-{stamp}-{os.getpid()}.sqlite3")
        os.replace(self.path, aside)
        warnings.warn(
            f"Your record of points can't be read ({fault}). It was set aside as {aside}, and "
            "a new one begun. If you have an exported record: lab.progress.load(FILE).",
            RecordWarning,
            stacklevel=6,
        )


class RecordWarning(UserWarning):
    """The learner's record was damaged, or can't be kept."""


class NewerRecord(RuntimeError):
    """The record was written by a later version of the course."""

    def __init__(self, path: Path, version: int):
        super().__init__(
            f"{path} was written by a later version of the course (format {version}, this one "
            f"reads {VERSION}): update the course, or export the record there"
        )


def default_path() -> Path:
    """``$FEDCORE_PROGRESS``, or progress.sqlite3 in the user's data folder."""
    chosen = os.environ.get("FEDCORE_PROGRESS")
    return Path(chosen) if chosen else user_data_path("fedcore") / "progress.sqlite3"


def as_text(store: Store) -> str:
    """The whole record as one JSON text."""
    rows = [[key, points, possible, list(skills)] for key, points, possible, skills in store.rows()]
    record = {"fedcore progress": VERSION, "earned": rows, "tries": store.tries()}
    return json.dumps(record, indent=1, ensure_ascii=False) + "\n"


def from_text(text: str) -> tuple[list[tuple[str, int, int, list[str]]], dict[str, int]]:
    """(rows, tries) of ``as_text``. Raises ValueError that says what is wrong with it."""
    try:
        record = json.loads(text)
    except ValueError as error:
        raise ValueError(f"expected an exported record, found {error}") from None
    if not isinstance(record, dict) or record.get("fedcore progress") != VERSION:
        raise ValueError(f"expected a record with 'fedcore progress': {VERSION}")
    rows, tries = record.get("earned"), record.get("tries")
    if not isinstance(rows, list) or not all(map(_is_row, rows)):
        raise ValueError("expected earned: [[key, points, possible, [skills]], ...]")
    if not isinstance(tries, dict) or not all(_is_count(n) for n in tries.values()):
        raise ValueError("expected tries: {key: number}")
    return [tuple(row) for row in rows], tries


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**9


def _is_row(row: Any) -> bool:
    return (
        isinstance(row, list)
        and len(row) == 4
        and isinstance(row[0], str)
        and _is_count(row[1])
        and _is_count(row[2])
        and row[1] <= row[2]
        and isinstance(row[3], list)
        and all(isinstance(skill, str) for skill in row[3])
    )
