"""The least form of every row on simulated clouds; that every effect is a crash point; that what is broken is found out."""

from __future__ import annotations

import importlib
import signal
from collections import Counter
from pathlib import Path

import pytest
from hypothesis.stateful import run_state_machine_as_test

from tests.guarantees.row import Size
from tests.guarantees.rows import r09
from tests.guarantees.sim.cells import Place, cell, judged, place
from tests.guarantees.sim.inside import inside
from tests.guarantees.sim.machine import Runs, with_settings
from tests.guarantees.sim.paper_cloud import PaperCloud

pytestmark = pytest.mark.slow
RENTED = {
    "commit", "file copy", "file launch", "file pin", "file forgotten", "host touch", "host files", "host start",
}  # fmt: skip
EFFECTS = {
    "aws": RENTED
    | {
        "aws CreateSchedule mlrun-end", "aws DeleteSchedule mlrun-end",
        "file next_pin", "host new", "host use", "aws CreateSecurityGroup", "aws RunInstances",
        "aws AuthorizeSecurityGroupIngress", "aws CreateTags", "aws TerminateInstances", "aws RevokeSecurityGroupIngress",
    },
    "gcp": RENTED
    | {
        "file waits", "gcp POST lab-project/global/firewalls", "gcp POST lab-project/zones/us-central1-a/instances",
        "gcp POST lab-project/zones/us-central1-a/instances/mlrun-1/setMetadata",
        "gcp DELETE lab-project/zones/us-central1-a/instances/mlrun-1", "gcp DELETE lab-project/global/firewalls/mlrun-1",
    },
    "ssh": {"commit", "file copy", "host make", "host files", "host start", "host end"},
    "local": {
        "commit", "host start", "os.mkdir /data", "os.mkdir /data/runs", "os.mkdir /data/runs/RUN",
        "open /data/runs.sqlite3", "os.remove /data/runs.sqlite3.suspect",
        "open /data/runs/RUN/.run.json.part", "os.rename /data/runs/RUN/.run.json.part",
        "os.remove /data/runs/RUN/.run.json.part", "open /data/runs/RUN/mlrun-RUN-1.part",
        "os.rename /data/runs/RUN/mlrun-RUN-1.part", "os.remove /data/runs/RUN/mlrun-RUN-1.live",
        "open /data/runs/RUN/receipt.json.part", "os.rename /data/runs/RUN/receipt.json.part",
    },
}  # fmt: skip
READS = ("Describe", "Get", "List", "get", "list", "aggregatedList", "wait", "getFromFamily", "getGuestAttributes")


@pytest.fixture(params=list(EFFECTS))
def here(request, tmp_path: Path) -> Place:
    with place(request.param, tmp_path) as made:
        made.guarded = request.param == "aws"
        yield made


ALWAYS = ("r01", "r04", "r15", "r17", "r19")
WITH_LONG = ("r02", "r03", "r09", "r10", "r16", "r18")


@pytest.mark.parametrize("name", [*ALWAYS, *(pytest.param(name, marks=pytest.mark.long) for name in WITH_LONG)])
def test_the_row_is_reached_in_its_least_form(name):
    row = importlib.import_module(f"tests.guarantees.rows.{name}").measure(Size.LEAST)
    assert row.reached, str(row)


def test_every_effect_is_a_crash_point(here):
    """A new kind of effect fails this until somebody looks; so does a change to a lab's cloud or computer that none announced.

    On this computer the interpreter itself announces every file that it is about to change and every program it starts.
    """
    told = here.drive("execute", here.fresh())
    cloud = here.world.cloud
    assert (0, "finished") == (told.status, told.answer["state"])
    assert EFFECTS[cloud] == set(told.effects)
    if cloud == "ssh":
        changed = sum(one.changes for one in here.world.computers.known.values())
        assert changed == sum(one in ("host make", "host start", "host end") for one in told.effects)
    if cloud in ("aws", "gcp"):
        the_cloud_heard_of_no_other(here, told.effects)


def the_cloud_heard_of_no_other(here: Place, effects: list[str]) -> None:
    cloud = here.world.cloud
    seen = [call.action for call in here.world.ledger.calls]
    changing = [one for one in seen if not one.rpartition(".")[2].startswith(READS)]
    assert len(changing) == sum(one.startswith(f"{cloud} ") for one in effects), Counter(changing)


def test_a_product_that_believes_empty_lists_is_found_out(tmp_path):
    with place("aws", tmp_path) as here:
        run = here.fresh()
        effects = here.drive("execute", run).effects
        after_launch = effects.index("aws RunInstances") + 2
        assert [] == cell(here, after_launch, 0.0)
        run = here.fresh()
        assert -signal.SIGKILL == here.drive("execute", run, fatal=after_launch).status
        told = here.drive("resume", run, plant="believes empty lists").answer
        assert ("finished", True) == (told["state"], bool(here.world.left()))
        assert judged(here)


def test_a_product_that_clears_nothing_away_is_found_out(tmp_path):
    with place("ssh", tmp_path) as here:
        assert "finished" == here.drive("execute", here.fresh()).answer["state"]
        assert [] == here.world.left()
        run = here.fresh()
        told = here.drive("execute", run, plant="clears nothing away").answer
        assert ("finished", True) != (told["state"], bool(here.world.left()))
        assert [f"mark mlrun-{run}-1"] == here.world.left()


def test_a_wrong_class_of_an_error_is_found_out():
    with inside("aws") as here:
        assert r09.met(here, "VcpuLimitExceeded", r09.ZONE)
        assert r09.met(here, "UnauthorizedOperation", r09.AGAIN)


def test_a_cloud_that_forgets_its_machines_is_found_out(monkeypatch):
    monkeypatch.setattr(PaperCloud, "find", lambda _cloud, _label: None)
    monkeypatch.setattr(PaperCloud, "terminate", lambda _cloud, _label: None)
    with pytest.raises(AssertionError):
        run_state_machine_as_test(Runs, settings=with_settings(400, 20, shrink=False))
