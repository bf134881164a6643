"""Real hosts: a network namespace, a disk over the image, and systemd booted on it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from tests.lab import cgroups, kernel, net
from tests.lab.furnish import boot_permit, clocks, furnish, hostname
from tests.lab.image import LabError
from tests.lab.imds import MetadataServer
from tests.lab.seams import HostSpec, Rule
from tests.lab.wire import Link, Wire

if TYPE_CHECKING:
    from tests.lab.hosts import RealHosts

BOOT_SECONDS = 30.0
OFF_SECONDS = 20.0
REBOOT = 133
Ended = Callable[[str, str], None]


class Host:
    """One machine. `wanted` is on, off or gone; whoever changes it holds the lock."""

    def __init__(self, lab: RealHosts, number: int, spec: HostSpec, ended: Ended) -> None:
        self.lab, self.spec, self.ended = lab, spec, ended
        self.number, self.short = number, f"h{number}"
        self.name = lab.net.namespace(self.short)
        self.address = lab.slot.address(number)
        self.folder = lab.slot.disks / self.short
        self.root = self.folder / "root"
        self.wanted, self.lock, self.cut = "on", threading.RLock(), False
        self.changed = threading.Event()
        self.process: subprocess.Popen[bytes] | None = None
        self.metadata: MetadataServer | None = None
        self.wire: Wire | None = None
        self.rules: Sequence[Rule] = ()

    def build(self) -> None:
        """Everything but the power. Its disk is volatile: else its end waits until all of this machine's files are written."""
        for part in ("upper", "work", "root"):
            (self.folder / part).mkdir(parents=True)
        layers = f"lowerdir={self.lab.layer}:{self.lab.image},upperdir={self.folder}/upper,workdir={self.folder}/work,volatile"
        kernel.call("mount", "-t", "overlay", self.name, "-o", layers, self.root)
        furnish(self.root, self.spec, self.address)
        self.lab.net.attach(self.short, self.address)
        self.metadata = MetadataServer(self.name, self.spec.kind, self.spec.metadata)

    def power(self) -> None:
        """Switch on in the background, at most a few hosts of this machine at a time."""
        threading.Thread(target=self.lab.guarded, args=(self._boot, self.spec.boot_delay), daemon=True).start()

    def _boot(self, delay: float) -> None:
        if self.spec.fault == "never-boots" or self.changed.wait(delay):
            return
        with boot_permit(lambda: self.wanted == "on"):
            process = self._start()
            until = time.monotonic() + BOOT_SECONDS
            while process and process.poll() is None and self.wanted == "on" and time.monotonic() < until:
                if kernel.listens(process.pid, 22):
                    return
                time.sleep(0.05)

    def _start(self) -> subprocess.Popen[bytes] | None:
        with self.lock:
            if self.wanted != "on":
                return None
            self.lab.net.allow(self.short, self.rules)
            name, _, value = f"{self.lab.slot.mark}{self.short}".partition("=")
            environment = kernel.clean_environment(**{name: value})
            with (self.folder / "console").open("wb") as console:
                streams = {"stdin": subprocess.DEVNULL, "stdout": console, "stderr": console}
                self.process = subprocess.Popen(self._command(), start_new_session=True, env=environment, **streams)  # type: ignore[call-overload]
            watch = threading.Thread(target=self.lab.guarded, args=(self._watch, self.process), daemon=True)
            watch.start()
            return self.process

    def _command(self) -> list[str]:
        mark = f"{self.lab.slot.mark}{self.short}"
        return [
            *cgroups.entering(self.name),
            *("nsenter", f"--net={kernel.NAMESPACES / self.name}", *clocks(self.lab.age)),
            *("systemd-nspawn", "--quiet", "--boot", "--register=no", "--keep-unit", "--console=read-only"),
            *("--resolv-conf=off", "--timezone=off", "--link-journal=no"),
            *("--capability=CAP_NET_ADMIN", "--kill-signal=SIGRTMIN+3"),
            *(f"--directory={self.root}", f"--machine={self.name}", f"--hostname={hostname(self.spec, self.address)}"),
            *(f"--setenv={mark}", "systemd.journald.forward_to_console=0"),
        ]

    def _watch(self, process: subprocess.Popen[bytes]) -> None:
        """What goes down by itself is booted again if it asked for that, else its cloud is told."""
        code = process.wait()
        with self.lock:
            if self.process is not process or self.wanted != "on":
                return
            if code == REBOOT:
                self._start()
                return
            self.wanted = "off"
            self.lab.net.shut(self.short)
        if code and not self.cut:
            self.lab.failures.append(f"{self.spec.id} ended with {code}: {self.console()[-500:].decode(errors='replace')}")
        self.ended(self.spec.id, "poweroff")

    def power_off(self) -> None:
        """As its power button does; what has not ended by itself then is cut off."""
        with self.lock:
            self.wanted, process = ("off" if self.wanted == "on" else self.wanted), self.process
        self.changed.set()
        if process and process.poll() is None:
            process.terminate()
            try:
                process.wait(OFF_SECONDS)
            except subprocess.TimeoutExpired:
                self.cut_power()
            with self.lock:
                self.lab.net.shut(self.short)

    def power_on(self) -> None:
        with self.lock:
            if self.wanted != "off":
                return
            self.wanted = "on"
            self.changed.clear()
        self.power()

    def cut_power(self) -> None:
        """Its whole tree dies at once; seen as going down by itself where it was wanted on.

        Its first process goes first: nspawn then buries it, where the machine's own first process may never do so.
        The lock is held meanwhile: whoever changes its firewall has a process in its network, which would die too.
        The process we started is killed by its number: while it becomes another program nothing shows whose it is.
        """
        process = self.process
        if process and (init := kernel.init_of(process.pid)):
            self.cut = True
            os.kill(init, signal.SIGKILL)
            with suppress(subprocess.TimeoutExpired):
                process.wait(OFF_SECONDS / 10)
        with self.lock:
            if process:
                process.kill()
            kernel.kill_all(lambda: net.processes(self.lab.slot, self.name))

    def destroy(self) -> None:
        """Everything of it, and proof."""
        with self.lock:
            self.wanted, process = "gone", self.process
        self.changed.set()
        self.cut_power()
        if process:
            process.wait(OFF_SECONDS)
        if self.metadata:
            self.metadata.close()
        self.set_wire(Link())
        self.lab.net.detach(self.short)
        cgroups.remove(self.name)
        kernel.unmount(str(self.root))
        shutil.rmtree(self.folder, ignore_errors=True)
        if left := self.remains():
            raise LabError(f"{self.spec.id} was destroyed, but there is still: {'; '.join(left)}")

    def remains(self) -> list[str]:
        """What is still there of it."""
        there = [f"process {pid}: {command}" for pid, command in net.processes(self.lab.slot, self.name).items()]
        there += [f"namespace {self.name}"] if (kernel.NAMESPACES / self.name).exists() else []
        there += [f"mount {point}" for point in kernel.mounts(str(self.folder))]
        cables = {self.lab.net.link_of(self.short) + end for end in ("", "w", "a", "b")}
        there += [f"link {name}" for name in kernel.links(self.lab.slot.link) if name in cables]
        there += [f"cgroup {folder}" for folder in cgroups.found(self.name) if folder.name == self.name]
        return there + ([f"disk {self.folder}"] if self.folder.exists() else [])

    def allow(self, rules: Sequence[Rule]) -> None:
        """A host that is off answers nobody, whatever its rules."""
        with self.lock:
            self.rules = rules
            if self.wanted == "on" and self.process:
                self.lab.net.allow(self.short, rules)

    def set_wire(self, link: Link) -> None:
        with self.lock:
            if link.plain:
                if self.wire:
                    self.wire.close()
                self.wire = None
                return
            self.wire = self.wire or Wire(self.lab.net, self.short, f"{self.lab.slot.mark}{self.short}")
            self.wire.set(link)

    def console(self) -> bytes:
        try:
            return (self.folder / "console").read_bytes()
        except FileNotFoundError:
            return b""

    def init(self) -> int:
        """The process that is its first, as the lab's machine numbers it."""
        found = kernel.init_of(self.process.pid) if self.process else None
        if found is None:
            raise LabError(f"{self.spec.id} is not running")
        return found
