"""Findings on computers, constructed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dispatcher.doctor.machine import gpu_checks, machine_checks
from dispatcher.domain.hardware import Battery
from dispatcher.hosts.probe import nvidia
from dispatcher.hosts.probe.integrated import Graphics, notes_on
from dispatcher.hosts.probe.thermal import Zone, hot, parse_pmset_therm
from tests.unit.doctor.facts import RTX, laptop


def told(name, **changes):
    return next((one for one in machine_checks(laptop(RTX, **changes)) if one.name == name), None)


def test_a_healthy_laptop_has_nothing_but_ok():
    assert {"ok"} == {one.level for one in machine_checks(laptop(RTX, battery=Battery(90.0, plugged=True)))}


def test_a_computer_without_a_gpu_is_told_that_jobs_run_on_the_processor():
    assert "note" == next(one for one in machine_checks(laptop()) if one.name == "gpu").level


def test_the_processors_speed_is_told_with_how_it_is_known():
    assert "180 GFLOP/s (measured), 22 GB/s" in told("processor").message
    assert "(computed)" in told("processor", cpu_basis="computed").message


def test_fewer_usable_cpus_than_threads_are_noted():
    assert ("note", True) == (told("processor", cpus=2.0).level, "may use 2" in told("processor", cpus=2.0).message)


def test_little_free_ram_is_a_warning():
    assert ("ok", "warning") == (told("memory").level, told("memory", ram_available_gib=1.5).level)


def test_what_is_swapped_out_counts_against_what_is_free():
    one = told("memory", ram_available_gib=3.0, swap_gib=8.0, swap_free_gib=2.0)
    assert ("warning", True) == (one.level, "6.0 GiB already swapped out" in one.message)


@pytest.mark.parametrize(("free", "level"), [(0.5, "error"), (5.0, "warning"), (50.0, "ok")])
def test_disk_space(free, level):
    assert level == told("disk", disk_free_gb=free).level


def test_container_limits_are_noted_with_how_to_raise_them():
    one = told("container", container="Docker, held to 2 CPUs and 4.0 GiB")
    assert ("note", True) == (one.level, "docker run" in one.fix)
    assert told("container", container="Docker").level == "ok"
    assert told("container") is None


@pytest.mark.parametrize(("percent", "plugged", "level"), [(90.0, True, "ok"), (60.0, False, "note"), (20.0, False, "warning")])
def test_battery(percent, plugged, level):
    assert level == told("power", battery=Battery(percent, plugged)).level


def test_a_computer_without_a_fan_is_noted():
    assert "note" == told("cooling", fanless=True).level


def test_other_peoples_processes_on_the_gpu_are_a_warning():
    found = list(gpu_checks(replace(RTX, other_processes=2, utilisation=0.9)))
    assert ["ok", "warning"] == [one.level for one in found]
    assert "There are 2 processes of other users on it." == found[1].message


def test_a_busy_gpu_is_a_note_and_a_throttled_one_a_warning():
    found = list(gpu_checks(replace(RTX, utilisation=0.9, throttled="heat")))
    assert ["ok", "note", "warning"] == [one.level for one in found]
    assert "heat" in found[2].message


GRAPHICS = (
    Graphics("01:00.0", "NVIDIA"),
    Graphics("02:00.0", "NVIDIA", driver="nouveau"),
    Graphics("03:00.0", "AMD"),
    Graphics("03:00.0", "Intel"),
    Graphics("00:02.0", "Intel", shared=True),
)
LEVELS = ("warning", "warning", "note", "note", "note")


@pytest.mark.parametrize(
    ("note", "level"),
    [
        *zip(notes_on(GRAPHICS, []), LEVELS, strict=True),
        ("CUDA_VISIBLE_DEVICES hides 1 NVIDIA GPU from jobs started here.", "note"),
        (hot((Zone("x86_pkg_temp", 99.0, 95.0),)), "warning"),
        (parse_pmset_therm("CPU_Speed_Limit = 60"), "warning"),
        ("Battery could not be read: the driver is on fire.", "warning"),
        *((fault.message, "error") for fault in nvidia.FAULTS.values()),
    ],
)
def test_every_note_of_a_probe_becomes_a_finding_with_a_fix(note, level):
    one = told("probe", notes=(note,))
    assert (note, level) == (one.message, one.level)
    assert one.fix


def test_a_disk_that_could_not_be_read_is_not_called_full():
    assert told("disk", disk_free_gb=0.0, notes=("Disk could not be read: no such folder.",)) is None
    assert "error" == told("disk", disk_free_gb=0.0).level


def test_memory_that_could_not_be_read_is_not_called_short():
    notes = ("Memory could not be read: no /proc.",)
    assert told("memory", ram_gib=0.0, ram_available_gib=0.0, notes=notes) is None


def test_a_mismatch_between_library_and_driver_is_told_to_restart():
    assert "restart the computer" == told("probe", notes=(nvidia.FAULTS[18].message,)).fix


@pytest.mark.parametrize(
    "changes",
    [
        {"ram_available_gib": 0.1},
        {"disk_free_gb": 0.0},
        {"cpus": 1.0},
        {"battery": Battery(5.0, plugged=False)},
        {"container": "Docker, held to 1 CPU"},
        {"notes": ("anything",)},
        {"fanless": True},
    ],
)
def test_a_fix_stands_beside_every_finding_that_is_not_ok(changes):
    troubled = [one for one in machine_checks(laptop(RTX, **changes)) if one.level != "ok"]
    assert troubled
    assert all(one.fix for one in troubled)
