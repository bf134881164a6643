"""Documents for programs hold exactly the fields that were promised."""

from __future__ import annotations

import json

import pytest

from dispatcher.cli.render.live import JsonLines, event_record
from dispatcher.cli.render.records import moment, run_record
from dispatcher.domain.run import Doubt, Outcome, RunState
from dispatcher.events import AttemptStarted, Finished, LogBytes, Progress, Sampled, StateChanged, Warned
from tests.golden.plans import full_plan
from tests.golden.runs import ENDS, NOW, doubtful, going, succeeded

RUN_FIELDS = {
    "id", "name", "state", "doubt", "outcome", "reason", "exit_code", "where", "machine", "region", "market", "label",
    "attempts", "submitted", "started", "ended", "hard_stop", "phases_seconds", "price_per_hour", "cost_usd", "peak", "outputs",
    "log", "teardown",
}  # fmt: skip
CANDIDATE_FIELDS = {
    "where", "machine", "device", "count", "region", "market", "fits", "headroom", "memory_gib", "hours", "step_seconds",
    "samples_per_second", "price_per_hour", "price_as_of", "price_source", "cost_usd", "phases_seconds",
}  # fmt: skip
ADDED = {"surely", "changes", "notes", "stopped_by", "fetching_seconds"}
"""Fields that came later: promises are only added to."""


@pytest.mark.parametrize("name", ENDS)
def test_a_run_has_the_promised_fields(name):
    record = run_record(ENDS[name], "log")
    assert set(record) == RUN_FIELDS
    assert {"so_far", "likely", "worst_case"} == set(record["cost_usd"])
    assert {"ram_gib", "gpu_memory_gib"} == set(record["peak"])
    assert {"confirmed", "proof"} == set(record["teardown"])


def test_a_runs_words_are_those_of_its_table():
    record = run_record(doubtful(Doubt.TEARDOWN))
    assert ("terminating", "teardown", None) == (record["state"], record["doubt"], record["outcome"])
    assert ("aws", "g4dn.xlarge", "us-east-1", "spot", 0.21) == tuple(
        record[key] for key in ("where", "machine", "region", "market", "price_per_hour")
    )
    assert "mlrun-7f3a2b9c1d-2" == record["label"] == record["attempts"][-1]["label"]


def test_times_are_utc_with_a_z():
    assert "2026-11-18T11:06:40Z" == moment(NOW)
    assert "2026-11-18T11:06:40Z" == moment(NOW + 0.4)
    assert None is moment(None)


def test_a_record_survives_json():
    record = run_record(succeeded(), "log")
    assert record == json.loads(json.dumps(record))


def test_a_plan_has_the_promised_fields():
    document = full_plan().as_dict()
    promised = {
        "schema",
        "job",
        "estimate",
        "here",
        "candidates",
        "choice",
        "rejected",
        "suggestions",
        "warnings",
        "not_included",
    }
    assert promised <= set(document)
    assert {"name", "file", "sha256", "origins"} == set(document["job"])
    assert {"capable", "reasons", "machine"} == set(document["here"])
    assert {
        "gpu_memory_gib", "ram_gib", "disk_gb", "flops_total", "flops_per_step", "parameters", "trainable_parameters",
        "gpu_device", "gpu_count",
    } == set(document["estimate"])  # fmt: skip
    assert {"low", "likely", "high", "basis", "terms_gib"} == set(document["estimate"]["gpu_memory_gib"])
    assert [] == [c for c in document["candidates"] if set(c) != CANDIDATE_FIELDS | ADDED]
    assert {"low", "likely", "high", "worst_case"} == set(document["candidates"][1]["cost_usd"])
    assert {"where", "machine", "reason"} == set(document["rejected"][0])
    assert {"change", "bound", "effect", "gpu_memory_gib", "slowdown", "changes_results"} <= set(document["suggestions"][0])


def test_the_likely_memory_is_the_sum_of_its_terms():
    memory = full_plan().as_dict()["estimate"]["gpu_memory_gib"]
    assert memory["likely"] == pytest.approx(sum(memory["terms_gib"].values()))


EVENTS = [
    (StateChanged("r", NOW, RunState.RUNNING), "state", {"state", "doubt"}),
    (AttemptStarted("r", NOW, going().attempts[0]), "attempt", {"attempt"}),
    (Progress("r", NOW, "sync", "3 of 4", 0.75), "progress", {"step", "message", "fraction"}),
    (Sampled("r", NOW, 1.5, 2.0), "progress", {"step", "cpus", "ram_gib", "gpu_utilisation", "gpu_memory_gib"}),
    (LogBytes("r", NOW, 7, b"caf\xc3\xa9 \xff"), "log", {"offset", "text"}),
    (Warned("r", NOW, "careful", "mlrun ps"), "warning", {"message", "fix"}),
    (Finished("r", NOW, Outcome.SUCCEEDED, 0, succeeded()), "result", {"exit_code", "result"}),
]


@pytest.mark.parametrize(("event", "name", "fields"), EVENTS, ids=[type(event).__name__ for event, _, _ in EVENTS])
def test_an_event_is_one_line_with_its_version(event, name, fields, capsys):
    JsonLines()(event)
    line = capsys.readouterr().out
    found = json.loads(line)
    assert 1 == line.count("\n")
    assert fields | {"schema", "event", "time", "run"} == set(found)
    assert ("1.0", name, "2026-11-18T11:06:40Z", "r") == (found["schema"], found["event"], found["time"], found["run"])


def test_bytes_that_are_no_text_are_replaced_in_json_alone(capsys):
    lines = JsonLines()
    lines(EVENTS[4][0])
    lines.close()
    assert "café \ufffd" == json.loads(capsys.readouterr().out)["text"]


def test_the_last_event_carries_the_whole_run():
    assert RUN_FIELDS == set(event_record(EVENTS[-1][0])["result"])
