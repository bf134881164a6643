"""The record of runs: one SQLite file."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from dispatcher.domain.observation import Observation
from dispatcher.domain.run import MOVES, Doubt, Label, Run, RunState
from dispatcher.errors import HostError, RecordUnusable, RunBusy, TeardownUnconfirmed, UsageError
from dispatcher.retries import Clock, SystemClock
from dispatcher.store.observations import OBSERVE, to_row
from dispatcher.store.opening import damaged, open_database, saying_why
from dispatcher.store.owner import Owner
from dispatcher.store.records import Intent, MonthTotal, Transition, from_document, to_document
from dispatcher.store.recovery import copied, keep_copy, runs_in
from dispatcher.store.schema import migrate

PASSING = frozenset({RunState.CONNECTING, RunState.SYNCING, RunState.PREPARING})
"""States in which nothing is made: the next durable write takes these moves to the disk with it."""
LISTED_WHEN_AMBIGUOUS = 5
_NEWEST = "SELECT document FROM run ORDER BY submitted DESC, id LIMIT ?"
_NEWEST_OF_NAME = "SELECT document FROM run WHERE name = ? ORDER BY submitted DESC LIMIT 1"
_OPEN_OF_NAME = "SELECT document FROM run WHERE name = ? ORDER BY state = 'finished', submitted DESC LIMIT 1"
_OPEN = "SELECT document FROM run WHERE state != 'finished' ORDER BY submitted"


class Store:
    """Runs and their history. Methods that find nothing return None or nothing; errors are HostErrors."""

    def __init__(
        self, path: Path, db: sqlite3.Connection, clock: Clock, warnings: list[str], *, stand_in: bool = False
    ) -> None:
        self.path = path
        self.runs = path.parent / "runs"
        self.clock = clock
        self.warnings = warnings
        self.stand_in = stand_in
        self._db = db
        self._lock = threading.RLock()

    @classmethod
    def open(cls, path: Path, clock: Clock | None = None) -> Store:
        """The store at `path`; `warnings` tells what had to be moved aside or migrated."""
        clock = clock or SystemClock()
        db, warnings = open_database(path, clock.now())
        store = cls(path, db, clock, warnings)
        store._restore()
        return store

    @classmethod
    def standing_in(cls, path: Path, clock: Clock, why: RecordUnusable) -> Store:
        """What the folders of the runs tell, in memory, while the record itself cannot be opened."""
        db = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        migrate(db, path)
        store = cls(path, db, clock, [f"{why.message}. Shown is what the folders of the runs tell"], stand_in=True)
        store._restore()
        return store

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def add(self, run: Run) -> None:
        """Remember a new run."""
        run.submitted = run.submitted or self.clock.now()
        with self._writing():
            document = self._write_run(run)
            self._note(run, None)
        self._copy(run, document)

    def get(self, run_id: str) -> Run | None:
        """The run with exactly this id."""
        return next(iter(self._documents("SELECT document FROM run WHERE id = ?", run_id)), None)

    def find(self, text: str, *, open_first: bool = False) -> Run:
        """The run that `text` means: an id, a unique prefix of one, a name (its newest run), or `last`. Raises UsageError.

        `open_first`: of a name's runs one that goes on comes before newer ones that have ended.
        """
        if text == "last":
            found = self.recent(1)
        else:
            found = self._by_prefix(text) or self._documents(_OPEN_OF_NAME if open_first else _NEWEST_OF_NAME, text)
        if not found:
            raise UsageError(f"There is no run {text!r}", fix="mlrun ps")
        if len(found) > 1:
            names = ", ".join(f"{run.id} ({run.name})" for run in found[:LISTED_WHEN_AMBIGUOUS])
            more = " …" if len(found) > LISTED_WHEN_AMBIGUOUS else ""
            raise UsageError(f"{text!r} could be {names}{more}", fix="Give more letters.")
        return found[0]

    def recent(self, limit: int = 20) -> list[Run]:
        """The newest runs, newest first."""
        return self._documents(_NEWEST, limit)

    def open_runs(self) -> list[Run]:
        """Runs that are not finished, oldest first."""
        return self._documents(_OPEN)

    def save(self, run: Run) -> None:
        """Keep what changed in a run without moving it."""
        with self._writing():
            self._must_stand(run)
            document = self._write_run(run)
        self._copy(run, document)

    def advance(self, run: Run, to: RunState, **changes: Any) -> Run:
        """Move a run on, with `changes` to its fields, in one commit. The one place where moves are checked."""
        before = run.state
        if to not in MOVES[before]:
            raise ValueError(f"a run cannot go from {before} to {to}")
        try:
            with self._writing(durable=to not in PASSING):
                self._must_stand(run)
                for name, value in changes.items():
                    setattr(run, name, value)
                _forbid_early_end(run, to)
                run.state = to
                document = self._write_run(run)
                self._note(run, before)
        except BaseException:
            run.state = before  # also where the disk was full only at the commit
            raise
        self._copy(run, document)
        return run

    def history(self, run_id: str) -> list[Transition]:
        """Every move of a run, in order."""
        rows = self._rows("SELECT time, before, after, doubt FROM transition WHERE run = ? ORDER BY id", run_id)
        return [
            Transition(run_id, time, RunState(old) if old else None, RunState(new), Doubt(doubt) if doubt else None)
            for time, old, new, doubt in rows
        ]

    @contextmanager
    def lease(self, run_id: str) -> Iterator[None]:
        """Be the only one who drives this run. Raises RunBusy while another living process does."""
        me = Owner.me()
        with self._writing(durable=False):  # a lease ends with this boot in any case
            other = self.driver(run_id)
            if other:
                raise RunBusy(
                    f"Run {run_id} is being driven by another mlrun, process {other.pid}", fix=f"mlrun logs -f {run_id}"
                )
            row = (run_id, me.pid, me.boot, me.born, self.clock.now())
            self._db.execute("INSERT OR REPLACE INTO lease VALUES (?, ?, ?, ?, ?)", row)
        try:
            yield
        finally:
            with suppress(RecordUnusable), self._writing(durable=False):  # it ends with this process in any case
                self._db.execute("DELETE FROM lease WHERE run = ? AND pid = ? AND born = ?", (run_id, me.pid, me.born))

    def driver(self, run_id: str) -> Owner | None:
        """The living process that drives a run, if any."""
        rows = self._rows("SELECT pid, boot, born FROM lease WHERE run = ?", run_id)
        owner = Owner(*rows[0]) if rows else None
        return owner if owner and owner.alive else None

    def wish(self, run_id: str, what: str) -> None:
        """Ask the process that drives a run for something: it looks between its steps."""
        with self._writing():
            self._db.execute("INSERT OR REPLACE INTO wish VALUES (?, ?, ?)", (run_id, what, self.clock.now()))

    def wished(self, run_id: str) -> str | None:
        """What was asked of the process that drives this run."""
        rows = self._rows("SELECT what FROM wish WHERE run = ?", run_id)
        return str(rows[0][0]) if rows else None

    def intent(self, label: Label, kind: str, request: dict[str, Any]) -> Intent:
        """Write down what is about to be asked of a provider, before it is asked."""
        now = self.clock.now()
        with self._writing():
            row = (str(label), kind, json.dumps(request, default=str), now)
            cursor = self._db.execute("INSERT INTO intent (label, kind, request, written) VALUES (?, ?, ?, ?)", row)
            return Intent(cursor.lastrowid or 0, label, kind, request, now)

    def settle(self, intent: Intent, answer: str = "") -> None:
        """The provider has answered; what it did is known."""
        with self._writing(durable=False):  # an answer that is lost is asked for again
            self._db.execute("UPDATE intent SET settled = ?, answer = ? WHERE id = ?", (self.clock.now(), answer, intent.id))

    def unsettled(self, run_id: str | None = None) -> list[Intent]:
        """Intents whose effect is not known, oldest first."""
        rows = self._rows("SELECT id, label, kind, request, written FROM intent WHERE settled IS NULL ORDER BY written")
        intents = [_intent(*row) for row in rows]
        return [one for one in intents if run_id in (None, one.label.run)]

    def attempted(self, label: Label) -> bool:
        """Whether one of our runs made an attempt with this label."""
        return bool(self._rows("SELECT 1 FROM attempt WHERE label = ?", str(label)))

    def totals(self, since: float = 0.0) -> list[MonthTotal]:
        """Costs by month, newest first, of runs submitted after `since` (Unix seconds)."""
        rows = self._rows(
            "SELECT strftime('%Y-%m', submitted, 'unixepoch') AS month, count(*), total(ended - started) / 3600, total(cost)"
            " FROM run WHERE submitted >= ? GROUP BY month ORDER BY month DESC",
            since,
        )
        return [MonthTotal(*row) for row in rows]

    def purge(self, older_than: float) -> list[str]:
        """Forget finished runs submitted before `older_than` (Unix seconds); their ids, as their folders are the caller's."""
        with self._writing():
            rows = self._rows("SELECT id FROM run WHERE state = 'finished' AND submitted < ?", older_than)
            for (run_id,) in rows:
                self._db.execute("DELETE FROM intent WHERE label GLOB ?", (f"mlrun-{run_id}-*",))
                self._db.execute("DELETE FROM wish WHERE run = ?", (run_id,))
                self._db.execute("DELETE FROM run WHERE id = ?", (run_id,))
        return [run_id for (run_id,) in rows]

    def observe(self, found: Iterable[Observation]) -> None:
        """Keep what a finished run showed; told twice, it is kept once."""
        with self._writing(durable=False):  # a power cut costs what one run taught
            self._db.executemany(OBSERVE, map(to_row, found))

    def forget_observations(self) -> int:
        """Forget what runs taught; returns from how many."""
        with self._writing():
            count = self._rows("SELECT count(DISTINCT run) FROM observation")[0][0]
            self._db.execute("DELETE FROM observation")
        return int(count)

    @contextmanager
    def _writing(self, *, durable: bool = True) -> Iterator[None]:
        """One transaction. A power cut may take back those that are not durable, but never one before a durable one."""
        with self._lock, saying_why(self.path), self._synchronous("FULL" if durable else "NORMAL"):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:  # a full disk ends the transaction by itself
                    self._db.execute("ROLLBACK")
                raise

    @contextmanager
    def _synchronous(self, how: str) -> Iterator[None]:
        self._db.execute(f"PRAGMA synchronous = {how}")
        try:
            yield
        finally:
            self._db.execute("PRAGMA synchronous = FULL")

    def _rows(self, query: str, *values: Any) -> list[Any]:
        with self._lock, saying_why(self.path):
            return self._db.execute(query, values).fetchall()

    def _documents(self, query: str, *values: Any) -> list[Run]:
        rows = self._rows(query, *values)
        try:
            return [from_document(row[0]) for row in rows]
        except HostError as error:
            raise damaged(self.path, error.message) from error

    def _by_prefix(self, text: str) -> list[Run]:
        if not (text.isascii() and text.isalnum()):
            return []
        most = LISTED_WHEN_AMBIGUOUS + 1
        return self._documents("SELECT document FROM run WHERE id >= ? AND id < ? LIMIT ?", text, text + "~", most)

    def _must_stand(self, run: Run) -> None:
        """Refuse to overwrite what another process has moved on meanwhile."""
        rows = self._rows("SELECT state FROM run WHERE id = ?", run.id)
        if not rows:
            raise UsageError(f"Run {run.id} is no longer recorded", fix="mlrun ps")
        if rows[0][0] != run.state:
            raise RunBusy(f"Run {run.id} was moved on to {rows[0][0]} by another mlrun", fix=f"mlrun report {run.id}")

    def catch_up(self) -> None:
        """Open runs whose folder tells an end: another mlrun saw it, whose record was moved aside meanwhile."""
        for run in self.open_runs():
            copy = copied(self.runs / run.id)
            if copy is not None and not copy.open and not self.driver(run.id):
                with self._writing():
                    self._write_run(copy)
                    self._note(copy, run.state)

    def _restore(self) -> None:
        """A record without any run, beside folders of runs: they are taken from there."""
        if self._rows("SELECT 1 FROM run LIMIT 1"):
            return
        found = list(runs_in(self.runs))
        if not found:
            return
        with self._writing():
            for run in found:
                self._write_run(run)
                self._note(run, None)
        count = "1 run was" if len(found) == 1 else f"{len(found)} runs were"
        self.warnings.append(f"{count} found again by their folders")

    def _copy(self, run: Run, document: str) -> None:
        if not self.stand_in:
            keep_copy(self.runs / run.id, document)

    def _write_run(self, run: Run) -> str:
        document = to_document(run)
        row = (run.id, run.name, run.state, run.submitted, run.started, run.ended, run.cost_so_far, document)
        self._db.execute(
            "INSERT INTO run VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET name = excluded.name,"
            " state = excluded.state, submitted = excluded.submitted, started = excluded.started, ended = excluded.ended,"
            " cost = excluded.cost, document = excluded.document",
            row,
        )
        for one in run.attempts:
            values = (str(one.label), run.id, one.where, one.machine, one.launched, one.ended)
            self._db.execute("INSERT OR REPLACE INTO attempt VALUES (?, ?, ?, ?, ?, ?)", values)
        return document

    def _note(self, run: Run, before: RunState | None) -> None:
        row = (run.id, self.clock.now(), before, run.state, run.doubt)
        self._db.execute("INSERT INTO transition (run, time, before, after, doubt) VALUES (?, ?, ?, ?, ?)", row)


def _forbid_early_end(run: Run, to: RunState) -> None:
    if to is RunState.FINISHED and run.attempts and not run.teardown_confirmed:
        raise TeardownUnconfirmed(f"Run {run.id} cannot be finished: what it made may still exist", fix="mlrun sweep")


def _intent(number: int, label: str, kind: str, request: str, written: float) -> Intent:
    parsed = Label.parse(label)
    assert parsed is not None
    return Intent(number, parsed, kind, json.loads(request), written)
