"""The hosts' image: this machine's own distribution with systemd, sshd and cloud-init, built once and kept."""

from __future__ import annotations

import fcntl
import hashlib
import os
import pwd
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PACKAGES = (
    *("systemd", "systemd-sysv", "dbus", "libpam-systemd", "dbus-user-session", "udev", "openssh-server", "cloud-init", "sudo"),
    *("rsync", "git", "curl", "zstd", "tmux", "less", "ca-certificates", "iproute2", "iputils-ping", "netcat-openbsd"),
    *("procps", "psmisc", "python3", "python3-venv", "passwd"),
)
TOOLS = {
    "mmdebstrap": "mmdebstrap",
    "systemd-nspawn": "systemd-container",
    "ip": "iproute2",
    "nft": "nftables",
    "nsenter": "util-linux",
    "ssh": "openssh-client",
    "rsync": "rsync",
    "zstd": "zstd",
}
NEEDED = ("mmdebstrap", "systemd-nspawn", "ip", "nft", "nsenter")
FILES = Path(__file__).with_name("rootfs")
MASKED = ("apt-daily.timer", "apt-daily-upgrade.timer", "e2scrub_all.timer", "fstrim.timer", "systemd-timesyncd.service")
OURS = ("lab-guest.service", "lab-host-keys.service")
UNSAID = "path-exclude=/usr/share/doc/*", "path-exclude=/usr/share/man/*", "path-exclude=/usr/share/locale/*"
UNUSED_DAYS = 30
SOURCES = Path("/etc/apt")


class LabError(Exception):
    """The lab cannot do what it was asked; the words are for its user."""


def lacking() -> str:
    """Why no lab can run here, or nothing."""
    if os.geteuid() != 0:
        return "the lab's hosts need root"
    if absent := sorted(TOOLS[tool] for tool in NEEDED if not shutil.which(tool)):
        return f"the lab's hosts need {' '.join(absent)}: scripts/lab prepare installs them"
    parts = {"/dev/net/tun": "a TUN device", "/proc/self/ns/time": "time namespaces"}
    missing = [words for path, words in parts.items() if not Path(path).exists()]
    return f"this kernel lacks {' and '.join(missing)}" if missing else ""


def cache() -> Path:
    """Where images are kept; tests have another HOME than their user, so that HOME is not asked."""
    named = os.environ.get("LAB_CACHE")
    return Path(named) if named else Path(pwd.getpwuid(os.getuid()).pw_dir) / ".cache" / "mlrun-lab"


def ready() -> Path | None:
    """The image, if it was built."""
    image = cache() / fingerprint() / "root"
    return image if image.is_dir() else None


def build() -> Path:
    """The image, built by the first who asks while others wait."""
    with _only_one(cache()):
        if (image := ready()) is None:
            image = _make(cache() / fingerprint())
    os.utime(image.parent)
    return image


def fingerprint() -> str:
    """Changes when anything does that the image is made of."""
    made_of = [*PACKAGES, *MASKED, *UNSAID, *_sources(), os.uname().machine]
    return hashlib.sha256("\0".join(made_of).encode()).hexdigest()[:16]


def layer(folder: Path) -> None:
    """The lab's own small files, as a layer over the image: changing one builds no image anew."""
    for file in sorted(FILES.rglob("*")):
        place = folder / file.relative_to(FILES)
        if file.is_dir():
            place.mkdir(parents=True, exist_ok=True)
        else:
            place.write_bytes(file.read_bytes())
            place.chmod(0o755 if file.read_bytes().startswith(b"#!") else 0o644)
    wants = folder / "etc/systemd/system/multi-user.target.wants"
    wants.mkdir()
    for unit in OURS:
        (wants / unit).symlink_to(f"/etc/systemd/system/{unit}")


def _make(folder: Path) -> Path:
    began, making = time.monotonic(), folder.with_name(folder.name + ".making")
    _say(f"Building the lab's image of {len(PACKAGES)} packages, once (about two minutes) …")
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir(parents=True)
    _bootstrap(making)
    making.rename(folder)
    _forget_unused(folder)
    _say(f"  done in {time.monotonic() - began:.0f} s: {folder}")
    return folder / "root"


def _bootstrap(making: Path) -> None:
    sources, log, image = [], making / "log", making / "root"
    for number, (text, suffix) in enumerate(_sources().items()):
        sources.append(making / f"{number}{suffix}")
        sources[-1].write_text(text)
    command = ["mmdebstrap", "--variant=minbase", "--format=directory", f"--include={','.join(PACKAGES)}"]
    command += ['--aptopt=APT::Install-Recommends "false"', *(f"--aptopt={line}" for line in _apt_settings())]
    command += [f"--dpkgopt={line}" for line in UNSAID]
    command += [f"--customize-hook={step}" for step in _steps()]
    with log.open("wb") as out:
        done = subprocess.run([*command, _codename(), image, *sources], stdout=out, stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        end = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
        raise LabError(f"mmdebstrap could not build the image ({log}):\n{end}")


def _steps() -> list[str]:
    """Shell, with the image's root as $1: what makes one image into many hosts, each with an identity of its own."""
    return [
        'rm -f "$1"/etc/ssh/ssh_host_* "$1"/var/lib/dbus/machine-id',
        ': > "$1"/etc/machine-id',
        f'chroot "$1" systemctl mask --quiet {" ".join(MASKED)}',
        'rm -rf "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/*.bin',
    ]


def _sources() -> dict[str, str]:
    """Where this machine has its distribution from, and the suffix each text's format asks for; other vendors are left out."""
    found, codename = {}, _codename()
    for file in [SOURCES / "sources.list", *sorted((SOURCES / "sources.list.d").glob("*"))]:
        if not file.is_file() or file.suffix not in {".list", ".sources"}:
            continue
        lines = file.read_text().splitlines() if file.suffix == ".list" else []
        ours = [line for line in lines if line.startswith("deb ") and f" {codename}" in line]
        paragraphs = file.read_text().split("\n\n") if file.suffix == ".sources" else []
        ours += [f"{paragraph.strip()}\n" for paragraph in paragraphs if _suites(paragraph, codename)]
        if ours:
            found["\n".join(ours) + "\n"] = file.suffix
    return found


def _suites(paragraph: str, codename: str) -> bool:
    suites = [line.partition(":")[2].split() for line in paragraph.splitlines() if line.lower().startswith("suites:")]
    return any(suite.startswith(codename) for named in suites for suite in named)


def _codename() -> str:
    lines = Path("/etc/os-release").read_text().splitlines()
    return next(line.partition("=")[2].strip('"') for line in lines if line.startswith("VERSION_CODENAME="))


def _apt_settings() -> list[str]:
    """Proxies and validity checks as this machine has them."""
    dump = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=True).stdout
    wanted = ("Acquire::http::", "Acquire::https::", "Acquire::Check-Valid-Until", "Acquire::Check-Date")
    return [line.rstrip(";") for line in dump.splitlines() if line.startswith(wanted)]


@contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _forget_unused(current: Path) -> None:
    for image in current.parent.iterdir():
        if image.is_dir() and image != current and time.time() - image.stat().st_mtime > UNUSED_DAYS * 86400:
            shutil.rmtree(image, ignore_errors=True)


def install_tools() -> None:
    """The packages of this machine that the lab works with."""
    if absent := sorted({package for tool, package in TOOLS.items() if not shutil.which(tool)}):
        _say(f"Installing {' '.join(absent)} …")
        subprocess.run(["apt-get", "update", "-qq"], check=True, stdout=subprocess.DEVNULL)
        quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        command = ["apt-get", "install", "-qq", "-y", "--no-install-recommends", *absent]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=quiet)


def _say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


def main() -> None:
    """Make this machine ready for labs."""
    if os.geteuid() == 0:
        install_tools()
    if why := lacking():
        raise LabError(why)
    _say(f"The lab's image: {build()}")
