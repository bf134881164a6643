"""A run that goes on is compared with its limit and its plan, early, and once."""

from __future__ import annotations

import pytest

from dispatcher.app.pacing import Pacing
from dispatcher.domain.run import Attempt, Label, Run, RunState
from dispatcher.events import Counted, LogBytes, Progress, Sampled, StateChanged, Warned

BEGAN = 1_800_000_000.0


def going(*, seconds: float, stop: float | None = None, by: str | None = "max_time", price: float = 0.0) -> Run:
    hours = {name: factor * seconds / 3600 for name, factor in (("low", 0.8), ("likely", 1.0), ("high", 1.3))}
    plan = {"choice": 0, "candidates": [{"hours": hours, "phases_seconds": {"run": seconds}, "stopped_by": by}]}
    market = "on-demand" if price else "owned"
    attempt = Attempt(Label("a" * 10), "aws" if price else "local", None, market=market, price_per_hour=price)
    return Run("a" * 10, "pets", RunState.RUNNING, started=BEGAN, hard_stop=BEGAN + stop if stop else None,
               attempts=[attempt], plan=plan)  # fmt: skip


def told(run: Run, *, each: float = 1.0, total: int = 10_000, until: int = 130, how: str = "log", begun: bool = True) -> list:
    """What is told of a run that counts a step every `each` seconds."""
    said: list = []
    pacing = Pacing(lambda _: run, said.append)
    if begun:
        pacing.hear(StateChanged(run.id, BEGAN, RunState.RUNNING))
    for second in range(1, until):
        done, now = int(second / each), BEGAN + second
        if how == "log":
            pacing.hear(LogBytes(run.id, now, 0, f"\r 1%|# | {done}/{total} [00:01<00:02, 1.0it/s]".encode()))
        else:
            pacing.hear(Counted(run.id, now, {"step": done, "total": total}))
        pacing.hear(Sampled(run.id, now, 1.0, 1.0))
    return [one for one in said if isinstance(one, Warned | Progress | Counted)]


def test_a_run_that_will_break_its_limit_is_told_in_its_second_minute_and_once():
    run = going(seconds=10_000, stop=5_000)

    (word,) = told(run, until=400)

    assert isinstance(word, Warned)
    assert word.time - BEGAN <= 62
    assert "break max_time" in word.message
    assert "50% done" in word.message
    assert f"mlrun stop {run.id[:4]}" in word.fix


def test_a_run_on_course_is_not_talked_about():
    assert told(going(seconds=10_000, stop=20_000)) == []


def test_a_run_that_takes_longer_than_planned_is_told_with_what_it_costs():
    (word,) = told(going(seconds=1_000, price=0.36))

    assert isinstance(word, Progress)
    assert "slower than planned" in word.message
    assert "costs about $1.00" in word.message


def test_the_time_of_setup_is_not_held_against_a_job():
    run = going(seconds=1_000)
    run.job["instructions"] = {"setup": "pip install ."}
    said: list = []
    pacing = Pacing(lambda _: run, said.append)
    pacing.hear(StateChanged(run.id, BEGAN, RunState.RUNNING))
    for second in range(1, 200):
        pacing.hear(Counted(run.id, BEGAN + 2_000 + second, {"step": second, "total": 1_000}))
        pacing.hear(Sampled(run.id, BEGAN + 2_000 + second, 1.0, 1.0))

    assert [one for one in said if isinstance(one, Progress)] == []


def test_a_setup_that_was_planned_is_counted_once():
    run = going(seconds=1_000, price=0.36)
    run.plan["candidates"][0]["phases_seconds"] = {"run": 800.0, "setup": 200.0}

    (word,) = told(run)

    assert "the plan said 17 min (13 min – 22 min)" in word.message
    assert "costs about $1.00" in word.message


def test_the_jobs_own_count_does_as_well_and_goes_no_further():
    words = told(going(seconds=10_000, stop=5_000), how="rows")

    assert [type(word) for word in words] == [Warned]


def test_a_run_that_was_taken_up_later_is_not_judged_by_when_its_output_came():
    assert told(going(seconds=10_000, stop=5_000), begun=False) == []


@pytest.mark.parametrize("line", [b"{'loss': 1.0, 'epoch': ...}\n", b'{"step": ' + b"9" * 400 + b"}\n"])
def test_no_printed_line_and_no_error_of_ours_reaches_the_run(line):
    def broken(_run: str) -> Run:
        raise OSError("no record")

    heard: list = []
    pacing = Pacing(broken, heard.append)
    pacing.hear(StateChanged("a" * 10, BEGAN, RunState.RUNNING))
    for second in (1, 70):
        pacing.hear(LogBytes("a" * 10, BEGAN + second, 0, line + b"step 4/9\n"))
    pacing.hear(Sampled("a" * 10, BEGAN + 71, 1.0, 1.0))

    assert len(heard) == 4


def test_a_total_that_no_computer_counts_is_not_judged():
    assert told(going(seconds=10_000, stop=5_000), how="rows", total=10**300) == []
    assert told(going(seconds=10_000, stop=5_000), how="rows", total=10**400) == []


def test_of_a_flood_only_whole_lines_count():
    run, said = going(seconds=10_000, stop=5_000), []
    pacing = Pacing(lambda _: run, said.append)
    pacing.hear(StateChanged(run.id, BEGAN, RunState.RUNNING))
    for second in range(1, 130):
        line = b"step %05d/10000\n" % second
        cut = line * 600 + line[:8]  # the next piece begins with the rest of it
        pacing.hear(LogBytes(run.id, BEGAN + second, 0, cut))
        pacing.hear(LogBytes(run.id, BEGAN + second + 0.1, 0, line[8:] + cut))
        pacing.hear(Sampled(run.id, BEGAN + second, 1.0, 1.0))

    (word,) = [one for one in said if isinstance(one, Warned)]
    assert "50% done" in word.message
