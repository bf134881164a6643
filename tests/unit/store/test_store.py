"""What the store promises: nothing lost, nothing doubled, every move checked."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest

from dispatcher.domain.run import MOVES, Attempt, Doubt, Label, Outcome, Output, Peak, Run, RunState
from dispatcher.errors import HostError, RecordDamaged, RecordUnusable, RunBusy, TeardownUnconfirmed, UsageError
from dispatcher.store.opening import open_database
from dispatcher.store.schema import MIGRATIONS, version
from dispatcher.store.store import _NEWEST, _OPEN, Store
from tests.fakes import FakeClock

START = 1_800_000_000.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "runs.sqlite3"


@pytest.fixture
def store(path: Path):
    with Store.open(path, FakeClock(START)) as opened:
        yield opened


def a_run(run_id: str = "abcdefghjk", name: str = "digits", **more) -> Run:
    return Run(id=run_id, name=name, **more)


def test_a_run_comes_back_as_it_was_written(store):
    attempt = Attempt(Label("abcdefghjk"), "local", None, launched=START, offer={"device": "cpu"})
    run = a_run(
        outcome=Outcome.FAILED, doubt=Doubt.LAUNCH, attempts=[attempt], peak=Peak(1.5, None), outputs=[Output("a/b", 3, "00")],
        phases_seconds={"run": 1.25}, job={"run": "python 'x'\n;"}, submitted=START,
    )  # fmt: skip
    store.add(run)
    assert run == store.get(run.id)


def test_a_run_is_found_by_id_prefix_name_and_last(store):
    for number, run_id in enumerate(("aaaaaaaaaa", "aabbbbbbbb", "cccccccccc")):
        store.add(a_run(run_id, "same", submitted=START + number))
    found = [store.find(text).id for text in ("aaaaaaaaaa", "aab", "same", "last", "c")]
    assert ["aaaaaaaaaa", "aabbbbbbbb", "cccccccccc", "cccccccccc", "cccccccccc"] == found


def test_an_ambiguous_prefix_lists_what_it_could_be(store):
    store.add(a_run("aaaaaaaaaa", "one"))
    store.add(a_run("aabbbbbbbb", "two"))
    with pytest.raises(UsageError, match=r"aaaaaaaaaa \(one\), aabbbbbbbb \(two\)"):
        store.find("aa")


@pytest.mark.parametrize("text", ["", "zz", "last", "a%", "a' OR 1=1 --", "\0"])
def test_what_names_no_run_is_said(store, text):
    with pytest.raises(UsageError, match="There is no run"):
        store.find(text)


@pytest.mark.parametrize("before", RunState)
@pytest.mark.parametrize("after", RunState)
def test_only_the_moves_of_the_table_are_made(store, before, after):
    run = a_run(state=before)
    store.add(run)
    if after in MOVES[before]:
        store.advance(run, after)
        assert (after, after) == (run.state, store.get(run.id).state)
        return
    with pytest.raises(ValueError, match="cannot go"):
        store.advance(run, after)
    assert before == store.get(run.id).state


def test_every_move_is_noted_with_its_time_and_doubt(store):
    run = a_run()
    store.add(run)
    store.clock.pass_time(5)
    store.advance(run, RunState.PROVISIONING, doubt=Doubt.LAUNCH)
    expected = [(START, None, "planned", None), (START + 5, "planned", "provisioning", "launch")]
    assert expected == [(one.time, one.before, one.after, one.doubt) for one in store.history(run.id)]


def test_a_run_is_not_finished_while_something_it_made_may_exist(store):
    run = a_run(state=RunState.TERMINATING, attempts=[Attempt(Label("abcdefghjk"), "local", None)])
    store.add(run)
    with pytest.raises(TeardownUnconfirmed):
        store.advance(run, RunState.FINISHED)
    assert RunState.TERMINATING == run.state == store.get(run.id).state
    store.advance(run, RunState.FINISHED, teardown_confirmed=True)
    assert not store.open_runs()


def test_a_stale_copy_of_a_run_overwrites_nothing(store):
    store.add(a_run())
    mine, theirs = store.get("abcdefghjk"), store.get("abcdefghjk")
    store.advance(theirs, RunState.PROVISIONING)
    for write in (lambda: store.save(mine), lambda: store.advance(mine, RunState.TERMINATING)):
        with pytest.raises(RunBusy):
            write()
    assert RunState.PROVISIONING == store.get("abcdefghjk").state


def test_recent_is_newest_first_and_open_runs_oldest_first(store):
    for number in range(5):
        state = RunState.FINISHED if number % 2 else RunState.RUNNING
        store.add(a_run(f"{number}" * 10, state=state, submitted=START + number))
    assert ["4", "3", "2"] == [run.id[0] for run in store.recent(3)]
    assert ["0", "2", "4"] == [run.id[0] for run in store.open_runs()]


def test_listing_reads_an_index_and_never_the_whole_table(store):
    for query in (_NEWEST.replace("?", "20"), _OPEN):
        plan = " ".join(row[3] for row in store._rows("EXPLAIN QUERY PLAN " + query))
        assert "USING INDEX" in plan
        assert "TEMP B-TREE" not in plan


def test_intents_stay_until_they_are_settled(store):
    first = store.intent(Label("abcdefghjk"), "provision", {"machine": "m1"})
    second = store.intent(Label("bbbbbbbbbb", 2), "terminate", {})
    assert [first, second] == store.unsettled()
    store.settle(first, "done")
    assert [second] == store.unsettled()
    assert [second] == store.unsettled("bbbbbbbbbb")
    assert not store.unsettled("abcdefghjk")


def test_totals_add_up_by_month(store):
    day = 86400
    for number, usd in enumerate((1.0, 2.5, 4.0)):
        begun = START + number * 20 * day
        store.add(a_run(f"{number}" * 10, submitted=begun, started=begun, ended=begun + 3600, cost_so_far=usd))
    assert [("2027-02", 2, 2.0, 6.5), ("2027-01", 1, 1.0, 1.0)] == [(m.month, m.runs, m.hours, m.usd) for m in store.totals()]


def test_purge_forgets_only_finished_old_runs(store):
    label = Label("0" * 10)
    store.add(a_run("0" * 10, state=RunState.FINISHED, submitted=START, attempts=[Attempt(label, "local", None)]))
    store.intent(label, "provision", {})
    store.add(a_run("1" * 10, state=RunState.RUNNING, submitted=START))
    store.add(a_run("2" * 10, state=RunState.FINISHED, submitted=START + 100))
    assert ["0" * 10] == store.purge(START + 50)
    assert ["2" * 10, "1" * 10] == [run.id for run in store.recent()]
    assert (False, []) == (store.attempted(label), store.unsettled())


def test_two_drivers_of_one_run_are_told_apart(store, path):
    with store.lease("abcdefghjk"), Store.open(path) as second:
        with pytest.raises(RunBusy, match=str(os.getpid())), second.lease("abcdefghjk"):
            pass
        with second.lease("bbbbbbbbbb"):
            pass
    with store.lease("abcdefghjk"):
        pass


def test_a_lease_of_a_killed_process_is_taken_over(store, path):
    script = (
        "import sys, time\nfrom pathlib import Path\nfrom dispatcher.store.store import Store\n"
        "with Store.open(Path(sys.argv[1])) as s, s.lease('abcdefghjk'):\n    print('held', flush=True)\n    time.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE, text=True)
    with holder:
        assert "held\n" == holder.stdout.readline()
        assert holder.pid == store.driver("abcdefghjk").pid
        with pytest.raises(RunBusy), store.lease("abcdefghjk"):
            pass
        holder.send_signal(signal.SIGKILL)
    with store.lease("abcdefghjk"):
        assert os.getpid() == store.driver("abcdefghjk").pid


def test_of_many_threads_that_want_a_lease_one_gets_it(path):
    gate, release, won, lost = threading.Barrier(8), threading.Event(), [], []

    def contend() -> None:
        with Store.open(path) as mine:
            gate.wait()
            try:
                with mine.lease("abcdefghjk"):
                    won.append(1)
                    release.wait(10)
            except RunBusy:
                lost.append(1)
                if len(lost) == 7:
                    release.set()

    Store.open(path).close()
    threads = [threading.Thread(target=contend) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert (1, 7) == (len(won), len(lost))


def test_a_wish_reaches_the_driver(store, path):
    with Store.open(path) as other:
        other.wish("abcdefghjk", "stop")
    assert ("stop", None) == (store.wished("abcdefghjk"), store.wished("bbbbbbbbbb"))


def test_only_its_user_can_read_the_store(store, path):
    assert (0o600, 0o700) == (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777)


def test_a_commit_is_durable_and_readers_do_not_block(store):
    assert ["wal"] == [row[0] for row in store._rows("PRAGMA journal_mode")]
    assert [2] == [row[0] for row in store._rows("PRAGMA synchronous")]


@pytest.mark.parametrize("content", [b"this is no database, it is a note" * 100, b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_corrupt_file_is_moved_aside_and_said(path, content):
    path.parent.mkdir()
    path.write_bytes(content)
    with Store.open(path, FakeClock(START)) as store:
        store.add(a_run())
        assert 1 == len(store.warnings)
        assert "damaged" in store.warnings[0]
    kept = list(path.parent.glob("runs.sqlite3.corrupt-2027*"))
    assert [content] == [one.read_bytes() for one in kept]


def test_damage_behind_the_header_is_noticed_at_the_next_opening(path):
    with Store.open(path) as store:
        for number in range(200):
            store.add(a_run(f"{number:010d}", job={"pad": "x" * 500}))
    blob = bytearray(path.read_bytes())
    blob[8192:-4096] = b"\xff" * (len(blob) - 8192 - 4096)
    path.write_bytes(blob)
    with Store.open(path) as store:
        assert "moved to" in store.warnings[0]
        assert [] == store.recent()


def test_damage_that_only_reading_shows_is_said_and_the_next_opening_moves_it_aside(path):
    with Store.open(path) as store:
        store.add(a_run(job={"pad": "NEEDLE" * 2000}))
    blob = path.read_bytes()
    path.write_bytes(blob.replace(b"NEEDLE", b'"\xff\xfe\x00zz'))
    with Store.open(path) as store, pytest.raises(RecordDamaged, match="damaged"):
        store.recent(500)
    with Store.open(path) as store:
        assert "moved to" in store.warnings[0]


def test_a_commit_that_fails_leaves_the_run_where_it_was(path, monkeypatch):
    with Store.open(path) as store:
        run = a_run()
        store.add(run)

        real = store._writing

        @contextmanager
        def full(**how):
            with real(**how):
                yield
                raise RecordUnusable("The disk is full")

        with monkeypatch.context() as patched:
            patched.setattr(store, "_writing", full)
            with pytest.raises(RecordUnusable):
                store.advance(run, RunState.PROVISIONING)
        store.advance(run, RunState.PROVISIONING)
        assert RunState.PROVISIONING is store.get(run.id).state


def test_a_newer_database_is_moved_aside_whole(path):
    with Store.open(path) as store:
        store.add(a_run())
        store._db.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    with Store.open(path) as store:
        assert "newer mlrun" in store.warnings[0]
        assert [] == store.recent()
    (kept,) = [one for one in path.parent.glob("*newer-*") if not one.name.endswith(("-wal", "-shm"))]
    with sqlite3.connect(kept) as old:
        assert 1 == old.execute("SELECT count(*) FROM run").fetchone()[0]
    old.close()


def test_a_migration_is_preceded_by_a_backup(path):
    with Store.open(path) as store:
        store.add(a_run())
    db, warnings = open_database(path, START, (*MIGRATIONS, "ALTER TABLE run ADD COLUMN extra TEXT"))
    assert len(MIGRATIONS) + 1 == version(db)
    db.close()
    (copy,) = path.parent.glob("*before-*")
    assert str(copy) in warnings[0]
    assert 0o600 == copy.stat().st_mode & 0o777
    with Store.open(copy) as old:
        assert ["abcdefghjk"] == [run.id for run in old.recent()]


def test_a_failing_migration_leaves_the_database_as_it_was(path):
    Store.open(path).close()
    with pytest.raises(HostError):
        open_database(path, START, (*MIGRATIONS, "CREATE TABLE more (x); CREATE TABLE run (x)"))
    with Store.open(path) as store:
        assert [] == store.warnings
        assert [] == store._rows("SELECT 1 FROM sqlite_master WHERE name = 'more'")


def test_a_network_file_system_is_refused(path, monkeypatch):
    monkeypatch.setattr("dispatcher.store.opening.filesystem", lambda _path: "nfs4")
    with pytest.raises(HostError, match="network file system") as caught:
        Store.open(path)
    assert "DISPATCHER_HOME" in caught.value.fix
    assert not path.exists()


def test_a_home_that_cannot_be_written_is_an_error_with_a_fix(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(HostError) as caught:
        Store.open(tmp_path / "file" / "data" / "runs.sqlite3")
    assert 104 == caught.value.exit_code
    assert "DISPATCHER_HOME" in caught.value.fix


FULL_DISK = """
import resource, signal, sys
from contextlib import contextmanager
from pathlib import Path
from dispatcher.domain.run import Run
from dispatcher.errors import HostError
from dispatcher.store.store import Store
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
with Store.open(Path(sys.argv[1])) as store:
    store.add(Run(id="a" * 10, name="first"))
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
    try:
        store.add(Run(id="b" * 10, name="second", job={"pad": "x" * 400_000}))
    except HostError as error:
        print(error.exit_code, error.fix)
    print([run.name for run in store.recent()])
"""


def test_a_full_disk_is_said_and_loses_nothing(path):
    done = subprocess.run([sys.executable, "-c", FULL_DISK, str(path)], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("104 Set DISPATCHER_HOME")
    assert done.stdout.endswith("['first']\n")


def test_the_store_costs_little_to_import():
    script = (
        "import sys, dispatcher.store\n"
        "print([name for name in ('pydantic', 'rich', 'click', 'psutil', 'asyncio') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "[]\n" == done.stdout


def test_what_announces_a_creation_is_on_the_disk_before_it_and_passing_moves_are_not_waited_for(store):
    seen = []
    store._db.set_trace_callback(seen.append)

    def levels(act) -> list[str]:
        seen.clear()
        act()
        return [said.rpartition(" ")[2] for said in seen if said.startswith("PRAGMA synchronous")]

    run = Run("a" * 10, "job")
    assert ["FULL", "FULL"] == levels(lambda: store.add(run))
    assert ["FULL", "FULL"] == levels(lambda: store.advance(run, RunState.PROVISIONING))
    assert ["FULL", "FULL"] == levels(lambda: store.intent(Label(run.id), "provision", {}))
    assert ["NORMAL", "FULL"] == levels(lambda: store.advance(run, RunState.CONNECTING))
    assert [2] == [row[0] for row in store._rows("PRAGMA synchronous")]
