"""From a job's own counts to its pace."""

from __future__ import annotations

import pytest

from dispatcher.metrics.pace import Expected, pace
from dispatcher.metrics.progress import Mark


def counted(count, each, *, start=0.0, unit="step", total=None, first=1, **more):
    """`count` marks, each `each` seconds after the one before."""
    return [
        Mark(start + each * number, unit, float(first + number), total, more.get("source", "tqdm"), *_rest(more))
        for number in range(count)
    ]


def _rest(more):
    return more.get("epochs"), more.get("each_epoch", False), more.get("bar", "")


def epochs(number, steps, each, pause):
    marks, at = [], 0.0
    for _ in range(number):
        marks += counted(steps, each, start=at, total=float(steps), each_epoch=True, epochs=20)
        at += steps * each + pause
    return marks


def test_the_whole_is_what_passed_before_and_every_step():
    found = pace(counted(101, 0.1, start=5.0, total=1000.0))

    assert found.seconds.likely == pytest.approx(0.1)
    assert found.whole.likely == pytest.approx(5.0 - 0.1 + 100.0, rel=0.01)
    assert found.whole.low < found.whole.likely < found.whole.high


def test_warm_up_is_left_out():
    slow = counted(10, 2.0, total=1000.0)
    warm = counted(400, 0.1, start=20.0, first=11, total=1000.0)

    assert pace([*slow, *warm]).seconds.likely == pytest.approx(0.1, rel=0.01)


def test_pauses_between_epochs_are_shared_out_over_the_steps():
    found = pace(epochs(3, 100, 0.1, pause=5.0))

    assert found.total == 2000
    assert found.whole.likely == pytest.approx(20 * 15.0, rel=0.02)
    assert found.done == 300


def test_a_shaky_pace_has_a_wider_range():
    marks, at = [], 0.0
    for number in range(200):
        at += 0.05 if (number // 25) % 2 else 0.15
        marks.append(Mark(at, "step", float(number), 1000.0, "tqdm"))
    steady, shaky = pace(counted(200, 0.1, total=1000.0)), pace(marks)

    assert shaky.seconds.high / shaky.seconds.low > 1.2 * steady.seconds.high / steady.seconds.low


@pytest.mark.parametrize("marks", [[], counted(2, 1.0), counted(50, 0.01), counted(1, 1.0) * 20])
def test_too_little_says_nothing(marks):
    assert pace(marks) is None


def test_three_reports_tell_something_with_a_wide_range():
    found = pace(counted(3, 20.0, total=10.0))

    assert found.seconds.likely == pytest.approx(20.0)
    assert found.seconds.high > 1.3 * found.seconds.likely


def test_a_bar_of_one_epoch_is_known_by_the_job_files_own_figures():
    marks = counted(50, 0.1, total=100.0)

    assert pace(marks).total == 100
    assert pace(marks, Expected(steps=500, steps_each=100, epochs=5)).total == 500
    assert pace(marks, Expected(steps=100, steps_each=20, epochs=5)).total == 100


def test_without_the_number_of_epochs_the_whole_is_unknown():
    found = pace(counted(50, 0.1, total=100.0, each_epoch=True))

    assert (found.total, found.whole) == (None, None)


def test_rounds_are_counted_against_the_trees_of_the_job_file():
    marks = counted(50, 0.1, unit="round")

    assert pace(marks).total is None
    assert pace(marks, Expected(rounds=200)).total == 200


def test_what_the_job_counts_itself_comes_before_its_bars():
    bars = counted(100, 0.1, total=1000.0)
    own = counted(20, 0.5, total=50.0, source="DISPATCHER_PROGRESS")

    assert pace([*bars, *own]).source == "DISPATCHER_PROGRESS"


def test_the_trainings_bar_is_told_from_the_evaluations_by_its_size():
    marks, at = [], 0.0
    for done in range(1, 301):
        at += 0.1
        marks.append(Mark(at, "step", float(done), 10_000.0, "tqdm"))
        if done % 100 == 0:
            marks += counted(20, 0.05, start=at, total=20.0)
            at += 1.0

    assert pace(marks).total == 10_000
