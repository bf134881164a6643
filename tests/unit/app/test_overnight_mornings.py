"""What a night left becomes a run: outcomes, outputs, hostile rows, machines that linger."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from dispatcher.app import overnight, reports
from dispatcher.app.queues import siblings
from dispatcher.backends.base import Leftover
from dispatcher.cli.overnight import refuse_unfinished
from dispatcher.domain.run import Label, Run, RunState
from dispatcher.engine.context import Context
from dispatcher.errors import HostUnreachable, TeardownUnconfirmed, UsageError
from dispatcher.overnight import night as nights
from dispatcher.overnight.base import Seen
from dispatcher.overnight.night import Night
from dispatcher.scheduling.cron import next_firing
from dispatcher.store.store import Store
from tests.fakes import FakeClock

NOW = 1_800_000_000.0
DAY = 86400.0


class FakeNights:
    """A cloud's answers, as a test wants them; what was asked of it."""

    def __init__(self) -> None:
        self.seen = Seen("waiting")
        self.files: dict[str, bytes] = {}
        self.disarmed: list[str] = []
        self.trouble: Exception | None = None
        self.parts: list[Seen] = []

    def look(self, night, now):
        if self.trouble:
            raise self.trouble
        return self.seen

    def part(self, night, seen, number):
        return self.parts[number - 1]

    def disarm(self, night):
        self.disarmed.append(night.id)

    def bring_log(self, seen, night, folder):
        folder.mkdir(parents=True)
        (folder / "log").write_bytes(b"said\n")

    def bring_files(self, seen, night, rows, folder):
        for row in rows:
            (folder / row["path"]).parent.mkdir(parents=True, exist_ok=True)
            (folder / row["path"]).write_bytes(self.files[row["path"]])


class FakeBackend:
    """Nothing is left of what was terminated."""

    name = "aws"

    def __init__(self, cloud):
        self.nights, self.terminated = cloud, []

    def terminate(self, label):
        self.terminated.append(label)

    def find(self, label):
        return None

    def leftovers(self):
        return []


@pytest.fixture
def cloud():
    return FakeNights()


@pytest.fixture
def backend(cloud, monkeypatch):
    made = FakeBackend(cloud)
    monkeypatch.setattr("dispatcher.backends.registry.load", lambda _where: made)
    return made


@pytest.fixture
def told():
    return []


@pytest.fixture
def ctx(tmp_path, monkeypatch, told, backend):
    monkeypatch.setenv("DISPATCHER_HOME", str(tmp_path / "home"))
    with Store.open(tmp_path / "home" / "data" / "runs.sqlite3") as store:
        yield Context(store=store, backend=lambda _where: backend, clock=FakeClock(NOW), emit=told.append)


@pytest.fixture
def night(ctx, tmp_path):
    (tmp_path / "work").mkdir()
    made = Night(
        "0123456789", "trains", "aws", "us-east-1", NOW - 7200, "Europe/Rome", made=NOW - DAY, prices={"t3.large": 0.1},
        offer={"machine": "t3.large"}, beside_per_hour=0.02, cost_worst=1.0, workdir=str(tmp_path / "work"),
    )  # fmt: skip
    nights.keep(made)
    return made


def over(cloud, *outputs, code=0, **more):
    rows = []
    for path, body in outputs:
        cloud.files[path] = body
        rows.append({"path": path, "size": len(body), "mode": 0o644, "sha256": hashlib.sha256(body).hexdigest(), "new": True})
    status = {"phase": "ended", "exit_code": code, "reason": "exited", "started": NOW - 7000, "ended": NOW - 3600}
    said = {"status": status, "outputs": rows, "born": NOW - 7200, "ended": NOW - 3600, "machine": {"type": "t3.large"}}
    cloud.seen = Seen("over", outcome=said | more, place="out/x/y")


def test_overnight_a_night_becomes_a_run_with_its_log_outputs_and_cost(ctx, cloud, night, tmp_path, told):
    over(cloud, ("out/model.bin", b"weights"))
    overnight.morning(ctx)
    run = ctx.store.get(night.id)
    assert ("finished", "succeeded", 0, True) == (run.state, run.outcome, run.exit_code, run.teardown_confirmed)
    assert b"weights" == (tmp_path / "work" / "out" / "model.bin").read_bytes()
    assert 0.12 == pytest.approx(run.cost_so_far)
    assert ["out/model.bin"] == [one.path for one in run.outputs]
    assert ([night.id], []) == (cloud.disarmed, list(nights.every()))
    assert "overnight, is over: succeeded" in told[-1].message


def test_overnight_before_its_time_no_cloud_is_asked(ctx, cloud, night):
    cloud.trouble = AssertionError("nobody was to be asked")
    nights.keep(replace(night, due=NOW + 60))
    assert not overnight.any_due(NOW)
    overnight.morning(ctx)


@pytest.mark.parametrize("path", ["../evil", "/etc/cron.d/evil", "a/../../evil", "a\n b", "con"])
def test_overnight_a_row_that_leads_elsewhere_is_not_brought(ctx, cloud, night, tmp_path, path):
    over(cloud, ("fine.txt", b"fine"), (path, b"evil"))
    overnight.morning(ctx)
    assert ["fine.txt"] == [one.path for one in ctx.store.get(night.id).outputs]
    assert {"fine.txt"} == {str(file.relative_to(tmp_path / "work")) for file in (tmp_path / "work").rglob("*")}


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (Seen("never", "AWS had none", "no-capacity"), ("failed", "no-capacity", 103)),
        (Seen("never", "The trigger did not fire", "never-fired"), ("failed", "never-fired", 103)),
        (Seen("over", outcome={"refused": "bundle-corrupted", "words": "changed"}), ("failed", "bundle-corrupted", 104)),
        (Seen("over", outcome={"refused": "secret-missing", "words": "gone"}), ("failed", "secret-missing", 104)),
        (Seen("over", outcome={"refused": "too-late", "words": "late"}), ("failed", "too-late", 105)),
        (Seen("over", outcome={"refused": "a word nobody knows"}), ("lost", "lost", 106)),
        (Seen("gone", "went away", "Server.SpotInstanceTermination"), ("preempted", "preempted", 108)),
        (Seen("gone", "went away", "Client.InstanceInitiatedShutdown"), ("lost", "lost", 106)),
        (Seen("gone", "The bucket is gone", "bucket-gone"), ("lost", "lost", 106)),
    ],
)
def test_overnight_every_end_has_its_word_and_its_code(ctx, cloud, night, seen, expected):
    cloud.seen = seen
    overnight.morning(ctx)
    run = ctx.store.get(night.id)
    assert expected == (run.outcome, run.reason, run.exit_code)
    assert [night.id] == cloud.disarmed


@pytest.mark.parametrize("phase", ["waiting", "unknown", "running"])
def test_overnight_what_is_not_over_stays_on_record(ctx, cloud, night, phase, told):
    cloud.seen = Seen(phase)
    overnight.morning(ctx)
    assert (None, [night], []) == (ctx.store.get(night.id), list(nights.every()), cloud.disarmed)
    assert "trains" in told[-1].message


def test_overnight_a_cloud_that_does_not_answer_is_told_and_asked_again(ctx, cloud, night, told):
    cloud.trouble = HostUnreachable("AWS does not answer", fix="later")
    overnight.morning(ctx)
    assert [night] == list(nights.every())
    assert "AWS does not answer" in told[-1].message


def test_overnight_a_machine_that_lingers_is_ended_after_a_while(ctx, cloud, night, backend):
    over(cloud, ended=NOW - 60)
    cloud.seen = replace(cloud.seen, alive=True)
    overnight.morning(ctx)
    assert ([], [night]) == (backend.terminated, list(nights.every()))
    over(cloud, ended=NOW - 600)
    cloud.seen = replace(cloud.seen, alive=True)
    overnight.morning(ctx)
    assert ([Label(night.id)], []) == (backend.terminated, list(nights.every()))


def test_overnight_what_was_whole_when_the_machine_was_taken_comes_home(ctx, cloud, night, tmp_path):
    over(cloud, ("ckpt.pt", b"half way"))
    cloud.seen = Seen("gone", "went away", "Server.SpotInstanceTermination", partial=cloud.seen.outcome, place="out/x/y")
    overnight.morning(ctx)
    assert b"half way" == (tmp_path / "work" / "ckpt.pt").read_bytes()
    assert "preempted" == ctx.store.get(night.id).outcome


def test_overnight_a_run_that_was_only_seen_by_its_tags_is_completed(ctx, cloud, night):
    ctx.store.add(Run(night.id, "trains", RunState.RUNNING))
    over(cloud, code=4)
    overnight.morning(ctx)
    assert ("finished", 4) == (ctx.store.get(night.id).state, ctx.store.get(night.id).exit_code)


def test_overnight_a_week_of_nights_is_a_week_of_runs(ctx, cloud, night):
    first = next_firing("0 1 * * *", datetime.fromtimestamp(NOW - 7 * DAY, ZoneInfo(night.zone))).timestamp()
    nights.keep(replace(night, cron="0 1 * * *", due=first, until=NOW + 20 * DAY))
    over(cloud, code=0)
    overnight.morning(ctx)
    [parent] = nights.every()
    assert (night.id, True) == (parent.id, parent.due > NOW)
    runs = ctx.store.recent()
    assert (7, 7) == (len(runs), len({run.id for run in runs}))
    assert {night.id} == {run.attempt.label.run for run in runs}
    assert [] == cloud.disarmed


def test_overnight_a_queue_is_a_run_for_each_job_and_what_they_cost_together(ctx, cloud, night, told, tmp_path):
    rows = [{"name": name, "latest": None, "outputs": [], "workdir": night.workdir} for name in ("a", "b", "c", "d")]
    nights.keep(replace(night, queue=tuple(rows), budget=20.0))
    over(cloud, ("out/a.bin", b"of the first"), ended=NOW - 6000)
    first, place = cloud.seen, {"machine": {"type": "t3.large"}}
    status = {"phase": "ended", "exit_code": 105, "reason": "deadline", "started": NOW - 6000, "ended": NOW - 2400}
    second = Seen("over", outcome={"status": status, "born": NOW - 7200, "ended": NOW - 2400} | place, place="out/x/y/2")
    third = Seen("over", outcome={"refused": "too-late", "words": "no time is left"}, place="out/x/y/3")
    cloud.parts = [first, second, third, Seen("never", "gone before its turn", "Server.SpotInstanceTermination")]
    overnight.morning(ctx)
    runs = [ctx.store.find(name) for name in "abcd"]
    assert [("succeeded", 0), ("failed", 105), ("failed", 105), ("preempted", 108)] == [(r.outcome, r.exit_code) for r in runs]
    assert [0.04, 0.12, 0.0, 0.0] == pytest.approx([run.cost_so_far for run in runs])
    assert [(1, 4), (4, 4)] == [(run.job["queue"]["part"], run.job["queue"]["of"]) for run in (runs[0], runs[-1])]
    assert runs == siblings(runs[2], ctx.store)
    assert b"of the first" == (tmp_path / "work" / "out" / "a.bin").read_bytes()
    assert "is over: 1 of its 4 jobs succeeded, $0.16 of $20.00" in told[-1].message
    assert ([night.id], []) == (cloud.disarmed, list(nights.every()))


def test_overnight_a_nights_page_has_its_curves_its_job_file_and_its_samples(ctx, cloud, night):
    nights.keep(replace(night, job={"file": "job.yaml", "run": "python train.py", "text": "run: python train.py\n"}))
    over(cloud, ("out/metrics.csv", b"step,loss\n1,0.5\n2,0.4\n3,0.3\n"))
    overnight.morning(ctx)
    run = ctx.store.get(night.id)
    assert ["loss"] == [one.name for one in reports.curves_of(run)]
    assert ("run: python train.py\n", False) == (reports.job_of(run), "text" in run.job)


@pytest.mark.parametrize("state", [{"born": NOW - 7200, "ended": NOW - 2400}, {"ended": NOW - 2400}, {}])
def test_overnight_a_queues_job_that_was_cut_off_pays_from_the_end_of_the_one_before(ctx, cloud, night, state):
    rows = [{"name": name, "latest": None, "outputs": [], "workdir": night.workdir} for name in "ab"]
    nights.keep(replace(night, queue=tuple(rows), budget=20.0))
    over(cloud, ended=NOW - 6000)
    cloud.parts = [cloud.seen, Seen("gone", "its machine went away", state=state, place="out/x/y/2")]
    overnight.morning(ctx)
    first, second = ctx.store.find("a"), ctx.store.find("b")
    assert NOW - 6000 == second.attempts[0].launched
    assert [0.04, 0.12 if state else 0.002] == pytest.approx([first.cost_so_far, second.cost_so_far])


def test_overnight_after_its_last_time_one_that_comes_again_is_taken_back(ctx, cloud, night):
    nights.keep(replace(night, cron="0 1 * * *", due=NOW - DAY, until=NOW - 3600))
    cloud.seen = Seen("waiting")
    overnight.morning(ctx)
    assert [night.id] == cloud.disarmed
    assert night.id not in {one.id for one in nights.every()}


def test_overnight_a_trigger_that_stays_keeps_its_record(ctx, cloud, night, monkeypatch, told):
    over(cloud)
    monkeypatch.setattr(cloud, "disarm", lambda _night: (_ for _ in ()).throw(TeardownUnconfirmed("still stands")))
    overnight.morning(ctx)
    assert [night] == list(nights.every())
    assert "still stands" in told[-1].message


@pytest.mark.parametrize(("phase", "stays"), [("running", True), ("over", True), ("waiting", True), ("never", False)])
def test_overnight_what_runs_already_goes_on_when_its_schedule_is_removed(ctx, cloud, night, monkeypatch, phase, stays):
    monkeypatch.setattr("time.time", lambda: NOW)
    cloud.seen = Seen(phase)
    assert ([night] if stays else []) == overnight.remove(night) == list(nights.every())
    assert [night.id] == cloud.disarmed


def test_overnight_removing_what_comes_again_keeps_the_run_that_goes_on(ctx, cloud, night, monkeypatch):
    monkeypatch.setattr("time.time", lambda: NOW)
    again = replace(night, cron="0 1 * * *", until=NOW + 9 * DAY)
    nights.keep(again)
    cloud.seen = Seen("running")
    [going] = overnight.remove(again)
    assert ([night.id], night.id, night.due) == (cloud.disarmed, going.carries, going.due)
    assert [going] == list(nights.every())


def test_overnight_what_is_not_to_come_any_more_is_forgotten_unasked(ctx, cloud, night, monkeypatch):
    monkeypatch.setattr("time.time", lambda: night.due - 60)
    cloud.trouble = HostUnreachable("nobody asks")
    assert ([], []) == (overnight.remove(night), list(nights.every()))


def test_overnight_accounts_are_not_taken_back_under_a_night(ctx, cloud, night, backend, monkeypatch):
    monkeypatch.setattr(cloud, "triggers", lambda _regions: [], raising=False)
    with pytest.raises(UsageError, match="not home yet: 012345"):
        refuse_unfinished("aws")
    nights.forget(night)
    refuse_unfinished("aws")
    tags = {"mlrun-client": "overnight"}
    beside = Leftover("aws", "instance", "i-1", Label("aaaaaaaaaa"), tags={"mlrun-client": "laptop"})
    monkeypatch.setattr(backend, "leftovers", lambda: [beside, replace(beside, label=Label("bbbbbbbbbb"), tags=tags)])
    with pytest.raises(UsageError, match="not home yet: bbbbbb") as why:
        refuse_unfinished("aws")
    assert "mlrun stop bbbbbb" in why.value.fix
