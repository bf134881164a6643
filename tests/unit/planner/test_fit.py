"""Free memory against need."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dispatcher.planner.fit import budget, verdict
from tests.unit.planner.things import amount, needs, offer, own


def test_an_owned_gpu_offers_what_is_free_less_a_tenth_of_its_nameplate():
    assert 3.6 - 0.4 == pytest.approx(budget(own()).gpu_gib)


def test_an_owned_computer_keeps_a_tenth_of_its_ram_back():
    assert 9.8 - 1.6 == pytest.approx(budget(own()).ram_gib)


def test_the_share_kept_back_is_the_users_to_set():
    assert 9.8 - 3.2 == pytest.approx(budget(own(), kept_back=0.2).ram_gib)


def test_a_rented_gpu_offers_less_than_its_nameplate():
    assert 15.0 < budget(offer()).gpu_gib < 16.0


def test_a_job_surely_fits_only_when_its_high_end_does():
    room = budget(own(device_memory_free_gib=4.0))
    assert verdict(needs(gpu_gib=3.2), room).surely
    assert not verdict(needs(gpu_gib=3.4), room).surely


def test_a_job_whose_likely_need_fits_but_not_its_high_end_probably_fits():
    ruling = verdict(needs(gpu_gib=3.4), budget(own(device_memory_free_gib=4.0)))
    assert ruling.fits
    assert not ruling.surely


def test_the_reason_names_what_is_there_what_is_in_use_and_what_is_needed():
    (reason,) = verdict(needs(gpu_gib=3.6), budget(own())).reasons
    assert "GPU memory: 3.2 GiB to spare (4.0 − 0.4 in use − 10% kept back); the job needs 3.6 GiB, at most 4.0 GiB." == reason


def test_a_need_that_reads_as_what_there_is_is_said_to_be_a_little_more():
    (reason,) = verdict(needs(gpu_gib=3.65), budget(own(device_memory_free_gib=4.4))).reasons
    assert "at most 4.0 GiB, a little more" in reason


def test_ram_and_gpu_memory_are_two_budgets():
    ruling = verdict(needs(gpu_gib=1.0, ram_gib=40.0), budget(offer()))
    assert not ruling.fits
    assert ruling.reasons[0].startswith("RAM")


def test_unified_memory_is_one_budget():
    need = needs(gpu_gib=5.0, ram_gib=4.0)
    separate = own(device_memory_gib=16.0, device_memory_free_gib=9.8)
    assert verdict(need, budget(separate)).fits
    assert not verdict(need, budget(separate, unified=True)).fits


def test_a_full_disk_is_no_place_to_run():
    ruling = verdict(needs(disk_gb=200.0, gpu_gib=1.0), budget(own()))
    assert (False, False) == (ruling.fits, ruling.surely)
    assert "disk" in ruling.reasons[-1]


def test_what_the_framework_would_refuse_does_not_fit_however_much_memory_there_is():
    ruling = verdict(needs(gpu_gib=1.0, forbidden=("bf16 needs Ampere.",)), budget(offer()))
    assert (False, False) == (ruling.fits, ruling.surely)
    assert ("bf16 needs Ampere.",) == ruling.reasons


def test_headroom_is_the_share_left_by_the_tightest_need():
    ruling = verdict(needs(gpu_gib=2.0, ram_gib=4.1), budget(own()))
    assert 1 - 2.0 / 3.2 == pytest.approx(ruling.headroom)


def test_a_computer_without_free_memory_has_no_headroom():
    assert -1.0 == verdict(needs(gpu_gib=2.0), budget(own(device_memory_free_gib=0.0))).headroom


def test_a_stated_need_is_said_to_be_stated():
    need = needs(gpu_gib=None)
    stated = type(need)(need.device, None, amount(64.0, spread=0.0, basis="stated"), need.disk)
    (reason,) = verdict(stated, budget(own())).reasons
    assert reason.endswith("the job file asks for 64.0 GiB.")


@pytest.mark.parametrize(
    ("sold_by", "at", "fits"),
    [
        (24.0, offer(device="A10G", device_memory_gib=22.4), True),
        (24.0, offer(device="L4", device_memory_gib=24.0), True),
        (16.0, offer(), True),
        (24.0, offer(), False),
        (4.0, own(device_memory_free_gib=3.9), True),
        (4.0, own(device_memory_free_gib=1.0), False),
        (24.0, offer("ssh:desk", None, market="owned", device_memory_gib=24.0, device_memory_free_gib=23.6), True),
    ],
)
def test_a_size_of_gpu_that_is_asked_for_is_met_by_what_is_sold_by_it(sold_by, at, fits):
    asked = replace(needs(ram_gib=1.0), gpu=amount(sold_by, spread=0.0, basis="stated"))
    assert fits == verdict(asked, budget(at)).surely


@pytest.mark.parametrize(
    ("at", "fits"),
    [
        (offer(ram_gib=16.0), True),
        (offer(ram_gib=15.25), True),
        (offer(ram_gib=8.0), False),
        (offer("ssh:desk", None, market="owned", ram_gib=15.5, ram_available_gib=11.0), True),
        (own(), False),
    ],
)
def test_ram_that_is_asked_for_is_met_as_it_is_sold_but_here_it_must_be_free(at, fits):
    asked = replace(needs(gpu_gib=None), ram=amount(16.0, spread=0.0, basis="stated"))
    assert fits == verdict(asked, budget(at)).surely
