"""Offers: what the clouds rent, filtered by need, with price, source and date; refreshed prices come first."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dispatcher import catalog
from dispatcher.catalog.overlay import RefreshedPricesDamaged
from dispatcher.catalog.prices import _refreshed, quotes_of
from dispatcher.domain.plan import GpuRequest, Requirements
from dispatcher.paths import cache_dir


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    forget()
    yield
    forget()


def forget() -> None:
    for reader in (_refreshed, quotes_of):
        reader.cache_clear()


def test_offers_come_from_both_clouds_and_both_markets_with_date_and_source() -> None:
    found = list(catalog.offers())
    assert {("aws", "on-demand"), ("aws", "spot"), ("gcp", "on-demand"), ("gcp", "spot")} == {
        (o.where, o.market) for o in found
    }
    assert all(o.price_per_hour and o.price_as_of and o.price_source == "embedded" and 0 < o.price_spread < 1 for o in found)
    assert len(found) > 10_000


def test_a_need_is_met_by_every_offer() -> None:
    need = Requirements(gpu_count=2, gpu_memory_gib=40, cpus=16, ram_gib=100, arch="x86_64", spot=False, max_hourly_usd=20.0)
    found = list(catalog.offers(need))
    assert found
    for offer in found:
        assert (offer.market, offer.arch) == ("on-demand", "x86_64")
        assert offer.count >= 2
        assert offer.device_memory_gib >= 40
        assert offer.vcpus >= 16
        assert offer.ram_gib >= 100
        assert offer.price_per_hour is not None
        assert offer.price_per_hour <= 20.0


def test_no_gpu_is_rented_for_work_that_needs_none() -> None:
    assert {"cpu"} == {offer.device for offer in catalog.offers(Requirements(cpus=4), cheapest=True)}


def test_named_gpus_and_spans_of_memory_are_honoured() -> None:
    named = Requirements(gpu_count=1, gpus=(GpuRequest(name="T4"), GpuRequest(name="L4")))
    assert {"T4", "L4"} == {offer.device for offer in catalog.offers(named, cheapest=True)}
    span = Requirements(gpu_count=1, gpus=(GpuRequest(min_memory_gib=24, max_memory_gib=40),))
    assert all(24 <= offer.device_memory_gib <= 40 for offer in catalog.offers(span, cheapest=True))


def test_nothing_is_offered_rather_than_raised_when_nothing_fits() -> None:
    assert [] == list(catalog.offers(Requirements(gpu_count=64, gpu_memory_gib=1e6)))


def test_a_place_narrows_the_offers_to_it() -> None:
    found = list(catalog.offers(Requirements(where="aws/eu-west-1", cpus=2)))
    assert {("aws", "eu-west-1")} == {(offer.where, offer.region) for offer in found}
    kept = list(catalog.offers(regions={"gcp": ["us-central1"], "aws": []}, cheapest=True))
    assert {"us-central1"} == {offer.region for offer in kept if offer.where == "gcp"}


def test_the_cheapest_region_is_kept_per_machine_and_market() -> None:
    every = [o for o in catalog.offers() if o.machine == "g4dn.xlarge" and o.market == "spot"]
    (best,) = [o for o in catalog.offers(cheapest=True) if o.machine == "g4dn.xlarge" and o.market == "spot"]
    assert best.price_per_hour == min(o.price_per_hour for o in every if o.price_per_hour)


def test_retired_burstable_and_sliced_machines_are_priced_but_not_offered() -> None:
    offered = {offer.machine for offer in catalog.offers(cheapest=True)}
    for name in ("p2.xlarge", "t3.large", "g6f.large"):
        kind = catalog.find_instance("aws", name)
        assert kind is not None
        assert name not in offered
        assert catalog.offers_of(kind)


def test_figures_agree_with_the_published_ones() -> None:
    kind = catalog.find_instance("aws", "p3.2xlarge")
    assert kind is not None
    (home,) = [o for o in catalog.offers_of(kind) if o.region == "us-east-1" and o.market == "on-demand"]
    assert (3.06, "2026-07-20", "V100-16GB") == (home.price_per_hour, home.price_as_of, home.device)


def test_disks_addresses_and_downloads_have_a_price_everywhere() -> None:
    home = catalog.tariff("aws", "us-east-1")
    assert (0.08, 0.005, 0.09) == (home.disk_gb_month, home.address_hour, home.egress_gb)
    nowhere = catalog.tariff("gcp", "mars-north1")
    known = [catalog.tariff("gcp", region) for region in catalog.regions("gcp")]
    assert nowhere.egress_gb == max(tariff.egress_gb for tariff in known)


def test_refreshed_prices_come_before_embedded_ones() -> None:
    write({"as_of": "2026-11-21", "prices": {"g5.xlarge": {"on-demand": {"us-east-1": 0.99}}}})
    kind = catalog.find_instance("aws", "g5.xlarge")
    assert kind is not None
    live = [o for o in catalog.offers_of(kind) if o.price_source == "live"]
    assert [("us-east-1", 0.99, "2026-11-21")] == [(o.region, o.price_per_hour, o.price_as_of) for o in live]
    assert any(o.price_source == "embedded" for o in catalog.offers_of(kind))


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"prices": 3}',
        '{"prices": {"a": 1}}',
        '{"prices": {"a": {"spot": {"r": 0}}}}',
        '{"prices": {"a": {"spot": {"r": "x"}}}}',
    ],
)
def test_unreadable_refreshed_prices_are_named_with_what_to_do(text: str) -> None:
    write(text)
    with pytest.raises(RefreshedPricesDamaged) as caught:
        catalog.quotes("aws")
    assert caught.value.fix.startswith("rm ")


def write(document: object) -> None:
    file: Path = cache_dir() / "prices-aws.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(document if isinstance(document, str) else json.dumps(document))


def test_ten_thousand_offers_are_made_in_the_time_of_a_blink() -> None:
    list(catalog.offers())
    started = time.process_time()
    count = len(list(catalog.offers()))
    assert (time.process_time() - started) / count * 10_000 < 0.25


def test_with_others_machines_that_do_not_meet_the_need_are_named_once():
    need = Requirements(gpu_count=1, arch="x86_64")

    meeting = {one.machine: one for one in catalog.offers(need)}
    named = list(catalog.offers(need, others=True))
    others = [one.machine for one in named if one.machine not in meeting]

    assert {one.machine for one in catalog.offers()} == {one.machine for one in named}
    assert len(set(others)) == len(others) > 0
    assert list(catalog.offers(need)) == [one for one in named if one.machine in meeting]
