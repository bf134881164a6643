from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from dispatcher import paths
from dispatcher.app import schedules
from dispatcher.app.schedules import Wish
from dispatcher.cli.render.page.page import Material, page
from dispatcher.cli.render.queue import queue_lines, queue_of
from dispatcher.errors import JobFileError, UsageError
from dispatcher.jobfile.load import load
from dispatcher.scheduling import records
from dispatcher.store.store import Store
from tests.inbox import inbox

ROME = ZoneInfo("Europe/Rome")
NOW = datetime(2026, 11, 20, 18, 40, tzinfo=ROME)


class FakeWaker:
    """Remembers who is to be woken when."""

    name = "cron"

    def __init__(self) -> None:
        self.moments: dict[str, datetime] = {}

    def wake(self, schedule_id, at, what):
        self.moments[schedule_id] = at

    def forget(self, schedule_id, *, last):
        self.moments.pop(schedule_id, None)

    def limits(self):
        return []


@pytest.fixture
def waker() -> FakeWaker:
    return FakeWaker()


@pytest.fixture
def job(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("DISPATCHER_HOME", str(tmp_path / "home"))
    file = tmp_path / "train.yaml"
    file.write_text("run: 'true'\nwhere: local\n")
    return file


def add(job, waker, **wish):
    return schedules.add([job], Wish(zone="Europe/Rome", **wish), NOW, waker)[0]


def test_a_schedule_is_written_down_and_somebody_is_woken_for_it(job, waker):
    made = add(job, waker, at="tonight 23:00")
    assert [made] == list(records.every())
    assert {made.id: datetime(2026, 11, 20, 23, 0, tzinfo=ROME)} == waker.moments


def test_when_it_is_due_its_job_runs_once(job, waker):
    made = add(job, waker, at="23:00")
    assert [] == schedules.due(made.next - 1)
    ran = []
    for _ in range(2):
        for one in schedules.due(made.next + 5):
            schedules.fire(one, made.next + 5, lambda words, log: ran.append(words) or 0, by=waker)
    assert [[str(job), "--yes", "--where", "local", "--progress", "plain"]] == ran
    kept = records.find(made.id)
    assert (None, ("train.yaml: exit code 0",), {}) == (kept.next, kept.fired[0].outcomes, waker.moments)


def test_one_that_comes_again_is_armed_for_the_next_time(job, waker):
    made = add(job, waker, cron="0 1 * * 1-5")
    after = schedules.fire(made, made.next + 7200, lambda words, log: 3, by=waker)
    assert datetime(2026, 11, 24, 1, 0, tzinfo=ROME) == after.due == waker.moments[made.id]
    assert ("train.yaml: exit code 3",) == after.fired[0].outcomes


def test_one_that_is_woken_too_late_for_its_end_is_skipped(job, waker):
    job.write_text(job.read_text() + 'budget: {finish_by: "07:30"}\n')
    made = add(job, waker, at="tomorrow 01:00")
    assert datetime(2026, 11, 21, 7, 30, tzinfo=ROME).timestamp() == made.finish_by[0]
    late = schedules.fire(made, made.finish_by[0] + 60, lambda words, log: pytest.fail("it ran"), by=waker)
    assert late.fired[0].outcomes[0].startswith("train.yaml: skipped, it was to be done by Sat 21 Nov 07:30")


def test_an_end_before_the_start_is_refused(job, waker):
    job.write_text(job.read_text() + 'budget: {finish_by: "2026-11-20 22:00"}\n')
    with pytest.raises(UsageError, match="after its finish_by"):
        add(job, waker, at="23:00")
    assert [] == list(records.every())


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        ({}, "Nothing says when"),
        ({"at": "23:00", "cron": "0 1 * * *"}, "Both --at and --cron"),
        ({"at": "2026-11-19 23:00"}, "is past"),
        ({"cron": "* * * * *"}, "fires every 1 min"),
        ({"cron": "nightly"}, "is no cron expression"),
    ],
)
def test_times_that_cannot_be_are_refused(job, waker, wish, said):
    with pytest.raises(UsageError, match=said):
        add(job, waker, **wish)


def test_the_job_file_can_say_when(job, waker):
    job.write_text(job.read_text() + 'schedule: {at: "01:00", timezone: America/New_York}\n')
    made = schedules.add([job], Wish(), NOW, waker)[0]
    assert datetime(2026, 11, 21, 1, 0, tzinfo=ZoneInfo("America/New_York")) == made.due


def test_an_unknown_zone_is_named(job, waker):
    with pytest.raises(UsageError, match=r"'Mars/Base' is no time zone"):
        schedules.add([job], Wish(at="23:00", zone="Mars/Base"), NOW, waker)


def test_a_job_that_is_wrong_or_gone_is_said(job, waker):
    made = add(job, waker, at="23:00")
    job.write_text("run: 'true'\nwhere: local\n# changed\n")
    changed = schedules.fire(made, made.next, lambda words, log: 0, by=waker)
    assert ("train.yaml: exit code 0 (the job file was changed since)",) == changed.fired[0].outcomes
    made = add(job, waker, at="23:00")
    job.unlink()
    gone = schedules.fire(made, made.next, lambda words, log: pytest.fail("it ran"), by=waker)
    assert ("train.yaml: skipped, the job file is gone",) == gone.fired[0].outcomes
    job.write_text("rum: x")
    with pytest.raises(JobFileError):
        add(job, waker, at="23:00")


def test_several_run_in_turn_and_one_that_fails_does_not_keep_the_next(job, waker, tmp_path):
    second = tmp_path / "b.yaml"
    second.write_text("run: 'true'\nwhere: local\n")
    made = schedules.add([job, second], Wish(at="23:00"), NOW, waker)[0]
    codes = {str(job): 1, str(second): 0}
    after = schedules.fire(made, made.next, lambda words, log: codes[words[0]], by=waker)
    assert ("train.yaml: exit code 1", "b.yaml: exit code 0") == after.fired[0].outcomes


def test_what_runs_is_not_started_again(job, waker):
    made = add(job, waker, at="23:00")

    def meanwhile(words, log):
        with pytest.raises(UsageError, match="is running right now"):
            schedules.fire(made, made.next, lambda words, log: pytest.fail("it ran twice"), by=waker)
        return 0

    schedules.fire(made, made.next, meanwhile, by=waker)


def test_running_it_now_leaves_its_time(job, waker):
    made = add(job, waker, at="23:00")
    after = schedules.fire(made, NOW.timestamp(), lambda words, log: 0, by=waker, early=True)
    assert (made.next, 1) == (after.next, len(after.fired))


def test_a_file_that_cannot_be_read_keeps_no_other_from_being_listed(job, waker):
    made = add(job, waker, at="23:00")
    (records.folder() / "zzz.json").write_text("{")
    assert ([made], ["zzz.json"]) == (list(records.every()), [one.name for one in records.unreadable()])


def test_a_waker_that_refuses_leaves_nothing(job, waker, monkeypatch):
    def refuse(*_):
        raise OSError("no")

    monkeypatch.setattr(waker, "wake", refuse)
    with pytest.raises(OSError, match="no"):
        add(job, waker, at="23:00")
    assert [] == list(records.every())


def test_the_job_really_runs(job, waker):
    job.write_text("run: echo from the night > out.txt\nwhere: local\n")
    made = add(job, waker, at="23:00")
    after = schedules.fire(made, datetime.now(UTC).timestamp(), by=waker)
    assert ("train.yaml: exit code 0",) == after.fired[0].outcomes
    assert "from the night\n" == (job.parent / "out.txt").read_text()
    assert b"" != schedules.log_of(made).read_bytes()


def test_what_ran_in_turn_here_is_summed_too(job, waker, tmp_path):
    second = tmp_path / "b.yaml"
    second.write_text("run: 'echo ${DISPATCHER_QUEUED:-none}; exit 3'\nwhere: local\n")
    made = schedules.add([job, second], Wish(at="23:00"), NOW, waker)[0]
    schedules.fire(made, datetime.now(UTC).timestamp(), by=waker)
    with Store.open(paths.database()) as store:
        runs = sorted(store.recent(), key=lambda run: run.name)
        told = queue_of(runs[1], store)
    assert (["b", "train"], 2, 1) == (sorted(run.name for run in runs), told["of"], told["succeeded"])
    assert ["train", "b"] == [one["name"] for one in told["runs"]]
    said = "".join(queue_lines(told, 80))
    assert "1 of 2 succeeded, together " in said
    assert "failed: the job ended by itself" in said
    html = page(runs[0], Material(queue=told))
    assert "The queue it ran in" in html
    assert f"<td>train ({runs[1].id[:4]})</td><td>succeeded</td>" in html


def test_secrets_that_only_this_shell_has_are_named(job, monkeypatch):
    monkeypatch.setenv("TOKEN", "s3cret")
    (job.parent / ".env").write_text("OTHER=x\n")
    job.write_text(job.read_text() + "secrets: [TOKEN, OTHER]\n")
    [said] = schedules.unkept([load(job)])
    assert said.startswith("TOKEN: only in this shell's environment")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of what apprise loads
def test_of_one_that_is_skipped_whoever_it_names_is_told(job, waker):
    with inbox() as box:
        job.write_text(job.read_text() + f"budget: {{finish_by: \"07:30\"}}\nnotify: ['{box.address}', NOWHERE]\n")
        made = add(job, waker, at="tomorrow 01:00")
        late = schedules.fire(made, made.finish_by[0] + 60, lambda words, log: pytest.fail("it ran"), by=waker)
    assert ["mlrun: train was not started"] == box.titles
    assert "no notice went to NOWHERE: the secret NOWHERE is in none of" in late.fired[0].outcomes[0]
