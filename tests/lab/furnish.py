"""What makes one image into many hosts: names, the cloud's guest, GPUs, faults; and how many may boot at a time."""

from __future__ import annotations

import fcntl
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from tests.lab import kernel, net
from tests.lab.image import LabError
from tests.lab.seams import HostSpec

BOOTS_AT_ONCE = 3
FAULTS = ("", "never-boots", "no-ssh", "other-host-key")


def clocks(age: float) -> list[str]:
    """Before what starts a host: it has not been up as long as this machine, but only `age` seconds."""
    offset = int(age - time.clock_gettime(time.CLOCK_BOOTTIME))
    return ["unshare", "--time", f"--boottime={offset}", f"--monotonic={offset}"]


def hostname(spec: HostSpec, address: str) -> str:
    return (spec.hostname or f"ip-{address.replace('.', '-')}").partition(".")[0]


def furnish(root: Path, spec: HostSpec, address: str) -> None:
    """What makes the image this host."""
    if spec.fault not in FAULTS:
        raise LabError(f"a host's fault is one of {', '.join(filter(None, FAULTS))}, not {spec.fault!r}")
    names = "metadata.google.internal metadata" if spec.kind == "gce" else "instance-data"
    (root / "etc/hosts").write_text(f"127.0.0.1 localhost\n127.0.1.1 {hostname(spec, address)}\n{net.IMDS} {names}\n")
    (root / "etc/lab").mkdir(exist_ok=True)
    if spec.kind == "gce":
        (root / "etc/lab/gce").touch()
        (root / "etc/cloud/cloud-init.disabled").touch()
    if spec.gpus:
        (root / "etc/lab/gpus.json").write_text(json.dumps([dict(gpu) for gpu in spec.gpus]))
        (root / "usr/bin/nvidia-smi").symlink_to("/usr/local/lib/lab/nvidia-smi")
    if spec.fault == "no-ssh":
        for unit in ("ssh.service", "ssh.socket"):
            (root / "etc/systemd/system" / unit).symlink_to("/dev/null")
    if spec.fault == "other-host-key":
        key = root / "etc/lab/host_key"
        kernel.call("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key)
        (root / "etc/ssh/sshd_config.d/00-lab.conf").write_text("HostKey /etc/lab/host_key\n")


@contextmanager
def boot_permit(still: Callable[[], bool]) -> Iterator[None]:
    """One of the few that the whole machine has; waits for it while it is still wanted."""
    held: IO[str] | None = None
    while held is None and still():
        held = _any_permit()
        if held is None:
            time.sleep(0.05)
    try:
        yield
    finally:
        if held:
            held.close()


def _any_permit() -> IO[str] | None:
    for number in range(BOOTS_AT_ONCE):
        lock = (net.RUN / f"boot-{number}").open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            continue
        return lock
    return None
