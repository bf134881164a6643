"""Prices are composed of the parts that Google lists, and only where the machines are had."""

from __future__ import annotations

import pytest

from dispatcher.backends.gcp import prices
from dispatcher.backends.gcp.client import Account
from dispatcher.backends.gcp.listing import live_quotes
from dispatcher.catalog.guards import PRICE_GUARDS
from tests.contract.test_gcp import cloud  # noqa: F401 as a fixture
from tests.lab.gce.places import ACCELERATORS, LOCAL_SSD_GB_MONTH, PROJECT, SPOT, TYPES


@pytest.fixture
def found(cloud):  # noqa: F811
    return {(one.machine, one.region, one.market): one.usd for one in live_quotes(Account(PROJECT))[0]}


def expected(machine: str, accelerator: str = "", count: int = 0) -> float:
    return TYPES[machine].usd(count, ACCELERATORS[accelerator].usd if accelerator else 0.0)


@pytest.mark.parametrize(
    ("machine", "usd"),
    [
        ("e2-standard-4", expected("e2-standard-4")),
        ("g2-standard-8", expected("g2-standard-8", "nvidia-l4", 1)),
        ("n1-standard-8+t4x1", expected("n1-standard-8", "nvidia-tesla-t4", 1)),
        ("a2-highgpu-2g", expected("a2-highgpu-2g", "nvidia-tesla-a100", 2)),
        ("a3-highgpu-8g", expected("a3-highgpu-8g", "nvidia-h100-80gb", 8)),
    ],
)
def test_gcp_a_machine_costs_its_parts_and_misleading_entries_are_left_out(found, machine, usd):
    assert usd == pytest.approx(found[machine, "us-central1", "on-demand"], rel=1e-4)


def test_gcp_spot_is_priced_apart(found):
    plain, spot = (found["g2-standard-8", "us-central1", market] for market in ("on-demand", "spot"))
    assert SPOT == pytest.approx(spot / plain, rel=1e-4)


def test_gcp_what_no_zone_of_a_region_has_is_not_quoted(found):
    assert ("g2-standard-8", "us-west1", "on-demand") not in found
    assert ("n1-standard-8+v100x1", "us-east1", "on-demand") not in found
    assert ("n1-standard-8+v100x1", "europe-west4", "on-demand") in found


def test_gcp_regions_that_do_not_answer_are_named_and_leave_the_others_their_prices(cloud):  # noqa: F811
    cloud.control("set", {"unreachable": ["us-east1-*"]})
    found, silent = live_quotes(Account(PROJECT), ("us-central1", "us-east1", "mars-north1"))
    assert ({"us-central1"}, {"us-east1", "mars-north1"}) == ({one.region for one in found}, set(silent))


def test_gcp_local_ssd_is_part_of_machines_that_bring_it(cloud):  # noqa: F811
    listed = list(prices.skus(Account(PROJECT)))
    assert LOCAL_SSD_GB_MONTH / 730 == pytest.approx(prices.local_ssd(listed)["us-central1", "on-demand"])


def test_gcp_the_catalogs_guards_hold_for_what_was_read(cloud):  # noqa: F811
    by_machine: dict[str, list] = {}
    for one in live_quotes(Account(PROJECT))[0]:
        by_machine.setdefault(one.machine, []).append(one)
    assert [] == [fault for guard in PRICE_GUARDS[:-1] for fault in guard(by_machine)]
    assert len(by_machine) > 10
