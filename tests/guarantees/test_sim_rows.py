"""The quick form of every row on simulated clouds; that every effect is a crash point; that what is broken is found out."""

from __future__ import annotations

import importlib
import signal
from collections import Counter
from pathlib import Path

import pytest
from hypothesis.stateful import run_state_machine_as_test

from tests.guarantees.rows import r09
from tests.guarantees.sim.cells import Place, cell, judged, place
from tests.guarantees.sim.inside import inside
from tests.guarantees.sim.machine import Runs, with_settings
from tests.guarantees.sim.paper_cloud import PaperCloud

pytestmark = pytest.mark.slow
EVERYWHERE = {
    "commit", "file copy", "file launch", "file pin", "file forgotten", "host touch", "host files", "host start",
}  # fmt: skip
EFFECTS = {
    "aws": EVERYWHERE
    | {
        "file next_pin", "host new", "host use", "aws CreateSecurityGroup", "aws RunInstances",
        "aws AuthorizeSecurityGroupIngress", "aws CreateTags", "aws TerminateInstances", "aws RevokeSecurityGroupIngress",
    },
    "gcp": EVERYWHERE
    | {
        "file waits", "gcp POST lab-project/global/firewalls", "gcp POST lab-project/zones/us-central1-a/instances",
        "gcp POST lab-project/zones/us-central1-a/instances/mlrun-1/setMetadata",
        "gcp DELETE lab-project/zones/us-central1-a/instances/mlrun-1", "gcp DELETE lab-project/global/firewalls/mlrun-1",
    },
}  # fmt: skip
READS = ("Describe", "Get", "get", "list", "aggregatedList", "wait", "getFromFamily", "getGuestAttributes")


@pytest.fixture(params=["aws", "gcp"])
def here(request, tmp_path: Path) -> Place:
    with place(request.param, tmp_path) as made:
        yield made


ALWAYS = ("r01", "r04", "r15", "r17", "r19")
WITH_LONG = ("r02", "r03", "r09", "r10", "r16", "r18")


@pytest.mark.parametrize("name", [*ALWAYS, *(pytest.param(name, marks=pytest.mark.long) for name in WITH_LONG)])
def test_the_row_is_reached_in_its_quick_form(name):
    row = importlib.import_module(f"tests.guarantees.rows.{name}").measure(quick=True)
    assert row.reached, str(row)


def test_every_effect_is_a_crash_point(here):
    """A new kind of effect fails this until somebody looks, and so does a call to the lab that no crash point announced."""
    told = here.drive("execute", here.fresh())
    cloud = here.world.cloud
    assert (0, "finished") == (told.status, told.answer["state"])
    assert EFFECTS[cloud] == set(told.effects)
    seen = [call.action for call in here.world.ledger.calls]
    changing = [one for one in seen if not one.rpartition(".")[2].startswith(READS)]
    assert len(changing) == sum(one.startswith(f"{cloud} ") for one in told.effects), Counter(changing)


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


def test_a_wrong_class_of_an_error_is_found_out():
    with inside("aws") as here:
        assert r09.met(here, "VcpuLimitExceeded", r09.ZONE)
        assert r09.met(here, "UnauthorizedOperation", r09.AGAIN)


def test_a_cloud_that_forgets_its_machines_is_found_out(monkeypatch):
    monkeypatch.setattr(PaperCloud, "find", lambda _cloud, _label: None)
    monkeypatch.setattr(PaperCloud, "terminate", lambda _cloud, _label: None)
    with pytest.raises(AssertionError):
        run_state_machine_as_test(Runs, settings=with_settings(400, 20, shrink=False))
