"""Whose fault a kill for want of memory was. Constructed /proc and /sys/fs/cgroup trees in the kernel's documented formats.

Formats: proc(5) and the kernel's Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/memory.rst (2026-11).
"""

from __future__ import annotations

import importlib
import signal
import sys
from pathlib import Path

import pytest

import dispatcher

GIB = 1 << 30
KILL = int(signal.SIGKILL)
LABEL = "mlrun-aaaaaaaaaa-1"


@pytest.fixture
def scarcity(monkeypatch):
    """The agent's module; it is a program of its own, outside the package."""
    monkeypatch.setattr(sys, "path", [str(Path(dispatcher.__file__).parent / "agent"), *sys.path])
    return importlib.import_module("scarcity")


class Kernel:
    """What the kernel would tell, in files."""

    def __init__(self, root: Path, own: str) -> None:
        self.proc, self.cgroups, self.own = root / "proc", root / "cgroup", own
        self.tell("proc/self/cgroup", f"0::{own}\n")
        self.tell("proc/meminfo", f"MemTotal: {16 << 20} kB\nMemAvailable: {8 << 20} kB\n")
        self.tell("proc/vmstat", "nr_free_pages 1\noom_kill 3\n")

    def tell(self, name: str, text: str) -> None:
        file = self.proc.parent / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def watch(self, scarcity):
        return scarcity.Scarcity(LABEL, str(self.cgroups), str(self.proc))


def test_a_kill_elsewhere_on_the_host_is_not_blamed_on_memory(scarcity, tmp_path):
    kernel = Kernel(tmp_path, "/user.slice")
    watched = kernel.watch(scarcity)
    watched.look({1}, 0.1 * GIB)
    kernel.tell("proc/vmstat", "oom_kill 4\n")
    assert not watched.killed(KILL, 0.2 * GIB)


def test_a_job_that_had_most_of_what_could_be_had_was_killed_for_it(scarcity, tmp_path):
    kernel = Kernel(tmp_path, "/user.slice")
    watched = kernel.watch(scarcity)
    assert not watched.killed(KILL, 7.5 * GIB)
    kernel.tell("proc/vmstat", "oom_kill 4\n")
    assert watched.killed(KILL, 7.5 * GIB)
    assert not watched.killed(int(signal.SIGSEGV), 7.5 * GIB)
    assert not watched.killed(None, 7.5 * GIB)


def test_others_that_take_the_memory_meanwhile_leave_the_job_less_room(scarcity, tmp_path):
    kernel = Kernel(tmp_path, "/user.slice")
    watched = kernel.watch(scarcity)
    kernel.tell("proc/meminfo", f"MemAvailable: {1 << 20} kB\n")
    watched.look({1}, 2.0 * GIB)
    kernel.tell("proc/vmstat", "oom_kill 4\n")
    assert watched.killed(KILL, 2.5 * GIB)


@pytest.mark.parametrize("place", ["/box", "/box/inner"])
def test_a_containers_limit_is_what_could_be_had(scarcity, tmp_path, place):
    kernel = Kernel(tmp_path, place)
    kernel.tell("cgroup/box/memory.max", f"{GIB}\n")
    kernel.tell("cgroup/box/memory.current", f"{GIB // 4}\n")
    kernel.tell(f"cgroup{place}/memory.events", "low 0\noom 1\noom_kill 0\n")
    watched = kernel.watch(scarcity)
    assert 0.75 * GIB == watched.room
    kernel.tell(f"cgroup{place}/memory.events", "low 0\noom 2\noom_kill 1\n")
    assert watched.killed(KILL, 0.5 * GIB)


def test_a_limit_of_the_first_kind_of_cgroups_counts_too(scarcity, tmp_path):
    kernel = Kernel(tmp_path, "")
    kernel.tell("proc/self/cgroup", "5:cpuset:/x\n4:memory:/box\n0::/\n")
    kernel.tell("cgroup/memory/box/memory.limit_in_bytes", f"{GIB}\n")
    kernel.tell("cgroup/memory/box/memory.usage_in_bytes", "0\n")
    kernel.tell("cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n")
    kernel.tell("cgroup/memory/box/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 0\n")
    watched = kernel.watch(scarcity)
    assert GIB == watched.room
    kernel.tell("cgroup/memory/box/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n")
    assert watched.killed(KILL, 0.9 * GIB)


def test_a_limit_that_the_job_put_itself_under_counts_while_it_is_seen(scarcity, tmp_path):
    kernel = Kernel(tmp_path, "/user.slice")
    kernel.tell("proc/77/cgroup", "0::/user.slice/small.scope\n")
    kernel.tell("cgroup/user.slice/small.scope/memory.max", f"{200 << 20}\n")
    kernel.tell("cgroup/user.slice/small.scope/memory.current", f"{50 << 20}\n")
    watched = kernel.watch(scarcity)
    watched.look({77}, 50 << 20)
    kernel.tell("proc/vmstat", "oom_kill 4\n")
    assert watched.killed(KILL, 150 << 20)


def test_in_a_scope_of_its_own_only_its_own_kills_count_whatever_its_size(scarcity, tmp_path):
    scope = f"/user.slice/app.slice/{LABEL}.scope"
    kernel = Kernel(tmp_path, scope)
    kernel.tell(f"cgroup{scope}/memory.events", "oom_kill 0\n")
    watched = kernel.watch(scarcity)
    kernel.tell("proc/vmstat", "oom_kill 9\n")
    assert not watched.killed(KILL, 8 * GIB)
    kernel.tell(f"cgroup{scope}/memory.events", "oom_kill 1\n")
    assert watched.killed(KILL, 0.01 * GIB)


def test_a_scopes_peak_is_told_without_its_file_cache(scarcity, tmp_path):
    scope = f"/user.slice/{LABEL}.scope"
    kernel = Kernel(tmp_path, scope)
    kernel.tell(f"cgroup{scope}/memory.stat", f"anon 1\nfile {3 * GIB}\nshmem {GIB}\nslab_reclaimable 0\n")
    watched = kernel.watch(scarcity)
    watched.look(set(), 0.0)
    kernel.tell(f"cgroup{scope}/memory.peak", f"{5 * GIB}\n")
    assert 3 * GIB == watched.peak()


def test_the_least_limit_of_address_space_is_known(scarcity, tmp_path):
    found = scarcity.Scarcity("x", proc=str(tmp_path), command="cd a; ulimit -v 900000 && ulimit -Sv 800000; python t.py")
    assert 800000 * 1024 == found.limit
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "limits").write_text(
        "Limit                     Soft Limit           Hard Limit           Units     \n"
        "Max address space         4096000              unlimited            bytes     \n"
    )
    found.look({7}, 0.0)
    assert 4096000 == found.limit
    assert scarcity.Scarcity("x", proc=str(tmp_path), command="echo ulimit -v of old").limit >= 1 << 60


def test_without_any_file_of_the_kernels_nothing_is_claimed(scarcity, tmp_path):
    watched = scarcity.Scarcity(LABEL, str(tmp_path / "none"), str(tmp_path / "none"))
    watched.look({1}, 5.0)
    assert (0, False) == (watched.peak(), watched.killed(KILL, 1e12))


@pytest.mark.parametrize(
    ("tail", "word"),
    [
        (b"Traceback\nMemoryError\n", "oom-host"),
        (b"numpy.core._exceptions._ArrayMemoryError: Unable to allocate 8 GiB\n", "oom-host"),
        (b"MemoryError: caught, going on\nTraceback\nValueError: shapes\n", ""),
        (b"retrying after a MemoryError in the loader\nValueError: shapes\n", ""),
        (b"MemoryError\nTraceback\nsubprocess.CalledProcessError: Command 'train' failed\n", "oom-host"),
        (b"terminate called after throwing an instance of 'std::bad_alloc'\n  what():  std::bad_alloc\n", "oom-host"),
        (b"bash: fork: Cannot allocate memory\n", "oom-host"),
        (b"bash: fork: Cannot allocate memory\n" + b"going on\n" * 9, ""),
        (b"torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB\n", "oom-device"),
        (b"ValueError: no\n", ""),
        (b"", ""),
    ],
)
def test_last_words_are_read_for_their_last_error(scarcity, tail, word):
    assert word == scarcity.said_full(tail)
