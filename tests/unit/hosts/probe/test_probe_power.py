"""Batteries and heat."""

from __future__ import annotations

import pytest

from dispatcher.domain.hardware import Battery
from dispatcher.hosts.probe.battery import from_supplies, parse_pmset, read_supplies
from dispatcher.hosts.probe.thermal import Zone, hot, parse_pmset_therm, read_zones
from tests.unit.hosts.probe.recorded import recorded, tree

OWN = {"type": "Battery", "capacity": "61", "status": "Discharging"}
UNPLUGGED, PLUGGED = {"type": "Mains", "online": "0"}, {"type": "Mains", "online": "1"}


def test_a_desktop_has_no_battery():
    assert from_supplies({}) is None
    assert from_supplies({"AC": PLUGGED}) is None


def test_a_laptop_away_from_the_mains():
    assert Battery(61.0, plugged=False) == from_supplies({"BAT0": OWN, "AC": UNPLUGGED})


def test_a_laptop_charged_over_usb_is_plugged():
    usb = {"type": "USB", "online": "1"}
    assert Battery(61.0, plugged=True) == from_supplies({"BAT0": {**OWN, "status": "Charging"}, "AC": UNPLUGGED, "usb": usb})


def test_without_a_mains_entry_the_batterys_status_tells():
    assert Battery(61.0, plugged=False) == from_supplies({"BAT0": OWN})
    assert Battery(61.0, plugged=True) == from_supplies({"BAT0": {**OWN, "status": "Not charging"}})


def test_a_mouses_battery_is_not_the_computers():
    assert from_supplies({"hidpp_battery_0": {**OWN, "scope": "Device"}}) is None


def test_an_empty_bay_is_no_battery():
    assert from_supplies({"BAT1": {**OWN, "present": "0"}}) is None


def test_two_batteries_count_by_what_they_hold():
    big = {**OWN, "energy_now": "60000000", "energy_full": "60000000"}
    small = {**OWN, "energy_now": "0", "energy_full": "20000000"}
    battery = from_supplies({"BAT0": big, "BAT1": small})
    assert battery == Battery(75.0, plugged=False)


def test_a_battery_whose_charge_is_no_number_is_empty():
    assert Battery(0.0, plugged=False) == from_supplies({"BAT0": {**OWN, "capacity": "?"}})


def test_supplies_are_read_from_sysfs(tmp_path):
    folder = "sys/class/power_supply"
    files = {f"{folder}/BAT0/type": "Battery\n", f"{folder}/BAT0/capacity": "80\n", f"{folder}/AC/type": "Mains\n"}
    root = tree(tmp_path, {**files, f"{folder}/AC/online": "1\n"})
    assert Battery(80.0, plugged=True) == from_supplies(read_supplies(root))


@pytest.mark.parametrize(
    ("name", "battery"),
    [
        ("pmset-battery.txt", Battery(85.0, plugged=False)),
        ("pmset-mains.txt", Battery(100.0, plugged=True)),
        ("pmset-desktop.txt", None),
    ],
)
def test_macs_tell_by_pmset(name, battery):
    assert battery == parse_pmset(recorded(name))


def zone(root, number, celsius, *, trip=None, kind="passive"):
    base = f"sys/class/thermal/thermal_zone{number}"
    files = {f"{base}/type": f"zone{number}\n", f"{base}/temp": f"{celsius * 1000}\n"}
    if trip:
        files |= {f"{base}/trip_point_0_type": f"{kind}\n", f"{base}/trip_point_0_temp": f"{trip * 1000}\n"}
    return tree(root, files)


def test_only_zones_that_slow_something_down_are_read(tmp_path):
    zone(tmp_path, 0, 40)
    zone(tmp_path, 1, 99, trip=105, kind="critical")
    zone(tmp_path, 2, 60, trip=95)
    assert (Zone("zone2", 60.0, 95.0),) == read_zones(tmp_path)


def test_the_worst_zone_past_its_limit_is_told():
    zones = (Zone("skin", 46.0, 45.0), Zone("x86_pkg_temp", 99.0, 95.0), Zone("cool", 30.0, 95.0))
    assert "x86_pkg_temp 99 °C" in hot(zones)


def test_a_cool_computer_is_nothing_to_speak_of():
    assert "" == hot((Zone("x86_pkg_temp", 94.9, 95.0), Zone("unset", 20.0, 0.0)))


def test_macos_tells_when_it_holds_the_processor_down():
    assert "62 %" in parse_pmset_therm(recorded("pmset-therm-hot.txt"))
    assert "" == parse_pmset_therm("Note: No thermal warning level has been recorded")
