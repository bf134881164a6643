"""What a night's machine does where a bucket, its metadata or its own disk is away for a while."""

from __future__ import annotations

import io
import json
import subprocess
import urllib.error
from pathlib import Path

import pytest

from tests.unit.overnight.conftest import LABEL, part, run


def test_overnight_a_bucket_that_is_away_for_long_at_the_end_loses_neither_outputs_nor_the_last_word(programs, machine):
    cloud = machine("mkdir out; printf abc > out/a; echo said", tell=1e9, keep=1e9)
    keep, away = cloud.put, dict.fromkeys(("files", "setup.log", "outcome.json"), 8)

    def put(name, *rest):
        what = name.partition("/")[0]
        if away.get(what):
            away[what] -= 1
            raise urllib.error.URLError("the bucket is away")
        keep(name, *rest)

    cloud.put = put
    assert 0 == run(programs, cloud)
    assert (["out/a"], []) == ([one["path"] for one in cloud.said()["outputs"]], cloud.said()["missed"])
    assert 0 == away["files"] == away["outcome.json"]


def test_overnight_waiting_for_the_bucket_has_an_end(programs, machine, monkeypatch):
    fetch, night, _ = programs
    monkeypatch.setattr(night, "HOLD_SECONDS", 0)
    monkeypatch.setattr(night, "ASK_SECONDS", 0)
    cloud = machine("mkdir out; printf abc > out/a")
    fetch.unpack(cloud)
    cloud.refusing = 10**9
    with pytest.raises(urllib.error.URLError):
        night.Night(cloud, json.loads((programs[2] / "night" / "job.json").read_text()), 0).run()


def test_overnight_a_metadata_service_that_is_away_makes_no_job_a_lost_one(programs, machine):
    cloud = machine("true")

    def away(path):
        raise urllib.error.HTTPError("u", 503, "away", {}, io.BytesIO())

    cloud.metadata = away
    assert 0 == run(programs, cloud)
    assert (0, {"id": "i-1"}) == (cloud.said()["status"]["exit_code"], cloud.said()["machine"])


def test_overnight_a_download_that_breaks_off_is_begun_again(programs, machine):
    cloud = machine("echo whole")
    cloud.cut = 7
    assert 0 == run(programs, cloud)
    assert b"whole\n" == cloud.log()


@pytest.mark.parametrize(("code", "again"), [(503, True), (429, True), (404, False), (403, False)])
def test_overnight_only_what_passes_is_tried_again(programs, code, again):
    calls = []

    def act():
        calls.append(1)
        if len(calls) < 4:
            raise urllib.error.HTTPError("u", code, "no", {}, io.BytesIO())
        return "done"

    if again:
        assert "done" == programs[0].patiently(act, 60, 0.0)
    else:
        with pytest.raises(urllib.error.HTTPError):
            programs[0].patiently(act, 60, 0.0)
        assert 1 == len(calls)


def test_overnight_after_a_reboot_the_log_goes_on_at_its_next_piece(programs, machine):
    """As on Google's, where nothing is written over: a piece that is there stays as it is."""
    fetch, night, root = programs
    cloud = machine("true")
    fetch.unpack(cloud)
    job = json.loads((root / "night" / "job.json").read_text())
    cloud.put = lambda name, body, *rest: cloud.kept.setdefault(name, body)
    (root / LABEL).mkdir()
    log = root / LABEL / "log"
    log.write_bytes(b"one\n")
    night.Night(cloud, job).ship_log()
    log.write_bytes(b"one\ntwo\n")
    night.Night(cloud, job).ship_log()
    log.write_bytes(b"one\ntwo\nthree\n")
    last = night.Night(cloud, job)
    last.ship_log()
    assert (b"one\ntwo\nthree\n", 3) == (cloud.log(), last.pieces)


def test_overnight_a_piece_whose_answer_was_lost_is_sent_again_as_it_was(programs, machine):
    fetch, night, root = programs
    cloud = machine("true")
    fetch.unpack(cloud)
    one = night.Night(cloud, json.loads((root / "night" / "job.json").read_text()))
    lost = [urllib.error.URLError("the answer is lost")]

    def put(name, body, *rest):
        cloud.kept.setdefault(name, body)
        if lost:
            raise lost.pop()

    cloud.put = put
    (root / LABEL).mkdir()
    log = root / LABEL / "log"
    log.write_bytes(b"one\n")
    with pytest.raises(OSError, match="the answer is lost"):
        one.ship_log()
    log.write_bytes(b"one\ntwo\n")
    one.ship_log()
    assert b"one\ntwo\n" == cloud.log()


def test_overnight_a_job_whose_state_cannot_be_read_is_given_up_and_the_next_one_runs(programs, queue, monkeypatch):
    _, night, _ = programs
    monkeypatch.setattr(night, "LOOKS", 2)
    look = night.Night.agent

    def agent(self, verb, *rest):
        mute = verb == "status" and self.label.endswith("-1") and Path(self.folder).exists()
        return subprocess.CompletedProcess([], 0, b"", b"") if mute else look(self, verb, *rest)

    monkeypatch.setattr(night.Night, "agent", agent)
    cloud = queue(("true", 300.0, []), ("echo next", 300.0, []))
    assert 0 == run(programs, cloud)
    assert ("lost", 0) == (part(cloud, 1)["status"]["phase"], part(cloud, 2)["status"]["exit_code"])
    assert 2 == cloud.said()["queue"]
