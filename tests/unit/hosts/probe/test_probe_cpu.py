"""What is read of a processor."""

from __future__ import annotations

import pytest

from dispatcher.hosts.probe.apple import parse_sysctl as sysctl_values
from dispatcher.hosts.probe.cpu import CpuFacts, linux_cpu, parse_cpuinfo, parse_sysctl, simd_of, usable_cpus
from tests.unit.hosts.probe.recorded import FOLDER, recorded, tree


@pytest.mark.parametrize("name", sorted(path.name for path in FOLDER.iterdir()))
def test_every_fixture_names_its_source_or_says_that_it_is_constructed(name):
    first = (FOLDER / name).read_text(encoding="utf-8").splitlines()[0]
    assert first.startswith(("#: recorded", "#: constructed", "#: figures recorded"))
    assert len(first) > 25


def test_hyperthreads_are_not_cores():
    facts = parse_cpuinfo(recorded("cpuinfo-laptop.txt"))
    assert CpuFacts("Intel(R) Core(TM) i5-8250U CPU @ 1.60GHz", 4, 8, "avx2 fma avx sse2", 1.6) == facts


def test_a_virtual_machine_without_a_clock_in_its_name_has_the_one_it_runs_at():
    facts = parse_cpuinfo(recorded("cpuinfo-epyc-vm.txt"))
    assert ("AMD EPYC", 2, 2, 2.59613) == (facts.model, facts.cores, facts.threads, facts.clock_ghz)
    assert facts.simd.startswith("avx512 avx2 fma")


def test_an_arm_server_is_named_by_its_part_number():
    facts = parse_cpuinfo(recorded("cpuinfo-graviton2.txt"))
    assert ("Neoverse-N1", 2, 2, "neon") == (facts.model, facts.cores, facts.threads, facts.simd)


def test_an_arm_board_with_an_unlisted_part_is_named_by_its_model():
    facts = parse_cpuinfo(recorded("cpuinfo-raspberry.txt"))
    assert ("Raspberry Pi 4 Model B Rev 1.4", 1) == (facts.model, facts.threads)


def test_two_sockets_with_the_same_core_numbers_are_counted_twice():
    text = "\n\n".join(f"processor: {n}\nphysical id: {n // 2}\ncore id: {n % 2}\nmodel name: X" for n in range(4))
    assert 4 == parse_cpuinfo(text).cores


def test_nothing_readable_is_a_processor_without_facts():
    assert CpuFacts("", 0, 0) == parse_cpuinfo("")


def test_a_clock_that_is_no_number_is_unknown():
    assert 0.0 == parse_cpuinfo("processor: 0\nmodel name: X\ncpu MHz: unknown").clock_ghz


def test_apple_silicon_is_read_from_sysctl():
    facts = parse_sysctl(sysctl_values(recorded("sysctl-m1-pro.txt")))
    assert CpuFacts("Apple M1 Pro", 10, 10, "neon", 0.0) == facts


def test_an_intel_mac_has_its_vector_extensions_and_clock():
    facts = parse_sysctl(sysctl_values(recorded("sysctl-intel-mac.txt")))
    assert (8, 16, "avx2 fma avx sse2", 2.4) == (facts.cores, facts.threads, facts.simd, facts.clock_ghz)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ("fpu sse2 avx avx2 fma avx512f amx_tile", "amx avx512 avx2 fma avx sse2"),
        ("fp asimd sve sve2", "sve2 sve neon"),
        ("avx512bw", ""),
        ("", ""),
    ],
)
def test_vector_extensions_are_told_widest_first(flags, words):
    assert words == simd_of(flags)


@pytest.mark.parametrize(
    ("threads", "affinity", "quota", "usable"),
    [(8, None, None, 8.0), (8, 4, None, 4.0), (8, 4, 1.5, 1.5), (8, 2, 6.0, 2.0), (0, None, None, 1.0), (2, 2, 4.0, 2.0)],
)
def test_usable_cpus_are_the_least_of_built_in_pinned_and_quota(threads, affinity, quota, usable):
    assert usable == usable_cpus(threads, affinity, quota)


def test_cores_come_from_the_topology_where_cpuinfo_does_not_tell_them(tmp_path):
    siblings = {f"sys/devices/system/cpu/cpu{n}/topology/thread_siblings_list": "0-1\n" for n in range(2)}
    files = {
        "proc/cpuinfo": recorded("cpuinfo-graviton2.txt"),
        "sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq": "2500000\n",
    }
    facts = linux_cpu(tree(tmp_path, {**files, **siblings}))
    assert (1, 2, 2.5) == (facts.cores, facts.threads, facts.clock_ghz)
