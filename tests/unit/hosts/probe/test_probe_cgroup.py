"""Container limits, from trees of control groups as kernels lay them out (constructed after the kernel's documentation)."""

from __future__ import annotations

import pytest

from dispatcher.hosts.probe import container
from dispatcher.hosts.probe.cgroup import Limits, cpu_quota, limits, parse_groups, parse_mounts, reclaimable
from dispatcher.hosts.probe.memory import Memory, disk_free_gb, parse_meminfo, within
from dispatcher.units import GIB, MIB
from tests.unit.hosts.probe.recorded import recorded, tree

V2_MOUNT = "29 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n"
V1_MOUNTS = (
    "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
    "36 31 0:33 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
)
NO_LIMIT = "9223372036854771712\n"


def v2(root, group, files):
    base = {"proc/self/mountinfo": V2_MOUNT, "proc/self/cgroup": f"0::{group}\n"}
    return limits(tree(root, {**base, **{f"sys/fs/cgroup{name}": text for name, text in files.items()}}))


def v1(root, files, groups="4:memory:/docker/abc\n1:cpu,cpuacct:/docker/abc\n", mounts=V1_MOUNTS):
    base = {"proc/self/mountinfo": mounts, "proc/self/cgroup": groups}
    return limits(tree(root, {**base, **{f"sys/fs/cgroup{name}": text for name, text in files.items()}}))


def test_no_control_groups_are_no_limits(tmp_path):
    assert Limits() == limits(tmp_path)


def test_v2_without_limits_says_max(tmp_path):
    assert Limits() == v2(tmp_path, "/a", {"/a/memory.max": "max\n", "/a/cpu.max": "max 100000\n"})


def test_v2_free_memory_does_not_count_the_file_cache_as_used(tmp_path):
    found = v2(
        tmp_path,
        "/box",
        {
            "/box/memory.max": f"{4 * GIB}\n",
            "/box/memory.current": f"{3 * GIB}\n",
            "/box/memory.stat": f"anon {GIB}\ninactive_file {GIB}\nactive_file {GIB // 2}\nslab_reclaimable {GIB // 2}\n",
            "/box/cpu.max": "150000 100000\n",
            "/box/memory.swap.max": "0\n",
        },
    )
    assert Limits(memory=4 * GIB, memory_free=3 * GIB, swap=0.0, cpus=1.5) == found


def test_v2_the_smallest_limit_up_the_tree_holds(tmp_path):
    found = v2(
        tmp_path,
        "/slice/pod/box",
        {
            "/slice/memory.max": f"{2 * GIB}\n",
            "/slice/memory.current": f"{GIB}\n",
            "/slice/pod/memory.max": "max\n",
            "/slice/pod/cpu.max": "50000 100000\n",
            "/slice/pod/box/memory.max": f"{8 * GIB}\n",
            "/slice/pod/box/memory.current": "1000\n",
            "/slice/pod/box/cpu.max": "400000 100000\n",
        },
    )
    assert (2 * GIB, GIB, 0.5) == (found.memory, found.memory_free, found.cpus)


def test_v2_a_sibling_can_use_up_what_a_parent_allows(tmp_path):
    files = {"/p/memory.max": f"{2 * GIB}\n", "/p/memory.current": f"{2 * GIB - MIB}\n", "/p/me/memory.max": f"{2 * GIB}\n"}
    assert MIB == v2(tmp_path, "/p/me", {**files, "/p/me/memory.current": "0\n"}).memory_free


def test_v2_memory_high_slows_a_job_down_before_max_does(tmp_path):
    assert GIB == v2(tmp_path, "/b", {"/b/memory.max": f"{4 * GIB}\n", "/b/memory.high": f"{GIB}\n"}).memory


def test_v2_inside_a_namespace_the_mount_itself_is_the_group(tmp_path):
    assert 3 * GIB == v2(tmp_path, "/", {"/memory.max": f"{3 * GIB}\n"}).memory
    assert 3 * GIB == v2(tmp_path, "/../../elsewhere", {"/memory.max": f"{3 * GIB}\n"}).memory


def test_v1_limits_memory_swap_and_cpus(tmp_path):
    found = v1(
        tmp_path,
        {
            "/memory/docker/abc/memory.limit_in_bytes": f"{2 * GIB}\n",
            "/memory/docker/abc/memory.usage_in_bytes": f"{2 * GIB}\n",
            "/memory/docker/abc/memory.stat": f"inactive_file 7\ntotal_inactive_file {GIB}\ntotal_active_file 0\n",
            "/memory/docker/abc/memory.memsw.limit_in_bytes": f"{3 * GIB}\n",
            "/memory/docker/memory.limit_in_bytes": NO_LIMIT,
            "/cpu,cpuacct/docker/abc/cpu.cfs_quota_us": "200000\n",
            "/cpu,cpuacct/docker/abc/cpu.cfs_period_us": "100000\n",
        },
    )
    assert Limits(memory=2 * GIB, memory_free=GIB, swap=GIB, cpus=2.0) == found


def test_v1_near_infinity_and_minus_one_are_no_limits(tmp_path):
    files = {"/memory/docker/abc/memory.limit_in_bytes": NO_LIMIT, "/cpu,cpuacct/docker/abc/cpu.cfs_quota_us": "-1\n"}
    assert Limits() == v1(tmp_path, {**files, "/cpu,cpuacct/docker/abc/cpu.cfs_period_us": "100000\n"})


def test_v1_a_mount_that_shows_only_the_containers_part_is_followed(tmp_path):
    mounts = V1_MOUNTS.replace("0:32 / ", "0:32 /docker/abc ")
    assert GIB == v1(tmp_path, {"/memory/memory.limit_in_bytes": f"{GIB}\n"}, mounts=mounts).memory


def test_a_hybrid_of_both_versions_takes_each_limit_where_it_is(tmp_path):
    mounts = V1_MOUNTS + "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
    files = {"/memory/x/memory.limit_in_bytes": f"{GIB}\n", "/unified/x/cpu.max": "100000 100000\n"}
    found = v1(tmp_path, files, groups="4:memory:/x\n0::/x\n", mounts=mounts)
    assert (GIB, 1.0) == (found.memory, found.cpus)


def test_garbage_in_the_files_is_no_limit(tmp_path):
    assert Limits() == v2(tmp_path, "/b", {"/b/memory.max": "lots\n", "/b/cpu.max": "many\n", "/b/memory.current": "?"})


def test_mounts_with_spaces_are_unescaped():
    assert "/my cgroup" == parse_mounts("29 23 0:26 / /my\\040cgroup rw - cgroup2 cgroup2 rw\n")[0].point


def test_groups_are_listed_by_controller():
    assert {"cpu": "/a", "cpuacct": "/a", "": "/b:c"} == parse_groups("3:cpu,cpuacct:/a\n0::/b:c\nrubbish\n")


@pytest.mark.parametrize(
    ("text", "cpus"), [("max 100000", None), ("50000 100000", 0.5), ("", None), ("5", None), ("100 0", None)]
)
def test_cpu_quotas(text, cpus):
    assert cpus == cpu_quota(text)


def test_reclaimable_sums_the_named_counters_only():
    assert 30.0 == reclaimable("anon 5\ninactive_file 10\nactive_file 20\nshmem 40")


def test_free_reads_meminfo():
    memory = parse_meminfo(recorded("meminfo-laptop.txt"))
    assert Memory(16223080 * 1024, 9830412 * 1024, 2097148 * 1024, 1048574 * 1024) == memory


def test_kernels_without_memavailable_count_half_the_cache():
    assert 2048.0 == parse_meminfo("MemTotal: 10 kB\nMemFree: 1 kB\nCached: 2 kB").available


def test_a_container_sees_its_limit_and_not_the_hosts_memory():
    host = Memory(64 * GIB, 50 * GIB, 8 * GIB, 8 * GIB)
    assert Memory(4 * GIB, 3 * GIB, 0.0, 0.0) == within(host, Limits(4 * GIB, 3 * GIB, 0.0))


def test_a_limit_above_what_the_host_has_free_promises_nothing():
    assert GIB == within(Memory(8 * GIB, GIB), Limits(6 * GIB, 5 * GIB)).available


def test_disk_space_of_a_folder_that_does_not_exist_yet_is_its_parents(tmp_path):
    assert disk_free_gb(tmp_path / "a" / "b") == pytest.approx(disk_free_gb(tmp_path), rel=0.05)


@pytest.mark.parametrize(
    ("files", "environ", "kind"),
    [
        ({".dockerenv": ""}, {}, "Docker"),
        ({"run/.containerenv": ""}, {}, "Podman"),
        ({"proc/self/cgroup": "0::/kubepods/burstable/pod1\n"}, {}, "Kubernetes"),
        ({}, {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, "Kubernetes"),
        ({}, {"container": "lxc"}, "lxc"),
        ({"proc/version": "Linux version 5.15.90.1-microsoft-standard-WSL2"}, {}, "WSL2"),
        ({}, {}, ""),
    ],
)
def test_containers_are_recognised(tmp_path, files, environ, kind):
    assert kind == container.kind(tree(tmp_path, files), environ)


def test_limits_are_told_only_where_they_hold_something_back():
    def told(limits):
        return container.describe("Docker", limits, ram=16 * GIB, threads=8)

    assert "Docker, held to 2 CPUs and 4.0 GiB" == told(Limits(memory=4 * GIB, cpus=2.0))
    assert "Docker, held to 1 CPU" == told(Limits(memory=32 * GIB, cpus=1.0))
    assert "Docker" == told(Limits(memory=32 * GIB, cpus=8.0))


def test_limits_without_a_known_container_are_told_too():
    assert "control group, held to 4.0 GiB" == container.describe("", Limits(memory=4 * GIB), ram=16 * GIB, threads=8)
