"""A long history: `mlrun ps` with 10,000 past runs beside 10."""

from __future__ import annotations

from pathlib import Path

from measure import MLRUN, Row, home, in_turns, run, seconds

from dispatcher.domain.run import Attempt, Label, Outcome, Run, RunState, new_run_id
from dispatcher.retries import SystemClock
from dispatcher.store.store import Store

FEW, MANY = 10, 10_000


def ps_rows(work: Path, turns: int) -> list[Row]:
    """The same `ps`, two histories."""
    few, many = _filled(work / "few", FEW), _filled(work / "many", MANY)
    long, short = in_turns(turns, lambda: run([MLRUN, "ps"], many), lambda: run([MLRUN, "ps"], few))
    return [
        Row(
            "ps, 10,000 past runs",
            seconds(long.seconds),
            seconds(short.seconds),
            long.seconds / short.seconds,
            "÷ with 10",
            1.5,
        )
    ]


def _filled(folder: Path, count: int) -> dict[str, str]:
    """A home whose store holds `count` finished runs."""

    with Store.open(folder / "data" / "runs.sqlite3", SystemClock()) as store:
        for place in range(count):
            store.add(_past(new_run_id(), place))
    return home(folder)


def _past(run_id: str, place: int) -> Run:
    """A finished run; each is a minute younger than the one before."""
    began = 1.7e9 + 60 * place
    attempt = Attempt(Label(run_id), "local", None, launched=began, ended=began + 60)
    run = Run(run_id, f"job-{place % 50}", RunState.FINISHED, outcome=Outcome.SUCCEEDED, exit_code=0, submitted=began)
    run.started, run.ended, run.attempts, run.teardown_confirmed = began, began + 60, [attempt], True
    return run
