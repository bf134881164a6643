"""Keys, pins and launches that this computer keeps of an attempt."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dispatcher.domain.run import Label
from dispatcher.errors import HostError
from dispatcher.hosts.keys import fresh_key, public_of

CLIENT_KEY = "ssh_key"


@dataclass(frozen=True, slots=True)
class Keyring:
    """Files of one attempt, in its run's folder. All are private, and written before what they tell of is done."""

    folder: Path
    label: Label

    @property
    def key(self) -> Path:
        """The file of the run's own private key."""
        return self.folder / CLIENT_KEY

    @property
    def known(self) -> bool:
        """Whether this computer holds the run's key."""
        return self.key.is_file()

    def public_key(self) -> str:
        """The run's public key; made where there is none."""
        return fresh_key(self.key)

    def host_key(self) -> tuple[str, str]:
        """The key that the machine is born with, private and public; the same ever after."""
        public = fresh_key(self._file("host_key"))
        return self._file("host_key").read_text(), public

    @property
    def born(self) -> str | None:
        """The host key that the machine was born with; None once it was replaced."""
        file = self._file("host_key")
        return public_of(file) if file.is_file() else None

    @property
    def replaced(self) -> bool:
        """Whether the machine has a host key of its own."""
        return self._file("pin").is_file()

    def replace_pin(self, public: str, *, certain: bool) -> None:
        """Expect another host key: `certain` once it is in place, before that only as the next one."""
        self.write("pin" if certain else "next_pin", public + "\n")
        if certain:
            self._file("next_pin").unlink(missing_ok=True)
            self._file("host_key").unlink(missing_ok=True)

    @property
    def candidates(self) -> tuple[str, ...]:
        """Every host key that the machine may rightly show, the likeliest first."""
        if self.replaced:
            return (self._file("pin").read_text().strip(),)
        found = self._file("next_pin").read_text().strip() if self._file("next_pin").is_file() else None
        return tuple(one for one in (found, self.born) if one)

    def launch(self) -> dict[str, Any] | None:
        """The launch as it was sent; None where none was."""
        try:
            document = json.loads(self._file("launch").read_text())
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise HostError(f"{self._file('launch')} cannot be read: {error}", fix="mlrun sweep") from error
        return dict(document)

    def note(self, launch: dict[str, Any]) -> None:
        """Write the launch down, durably."""
        self.write("launch", json.dumps(launch))

    def write(self, kind: str, text: str) -> None:
        """Write one of the attempt's files in one piece, on the disk when this returns."""
        file = self._file(kind)
        part = file.with_name(f".{file.name}.part")
        try:
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with _private(part) as stream:
                stream.write(text.encode())
                stream.flush()
                os.fsync(stream.fileno())
            part.replace(file)
            _sync(file.parent)
        except OSError as error:
            raise HostError(f"{file} cannot be written: {error.strerror}", fix="mlrun doctor") from error

    def forget(self) -> None:
        """Remove the keys and pins; the note of the launch stays, without the request: the machine's first key is in that.

        The run's key goes with its last attempt.
        """
        with contextlib.suppress(HostError):
            if (launch := self.launch()) and launch.get("over") and launch.get("request"):
                self.note(launch | {"request": {}})
        for kind in ("host_key", "next_pin", "pin", "waits"):
            self._file(kind).unlink(missing_ok=True)
        kept = (f"mlrun-{self.label.run}-*.{kind}" for kind in ("host_key", "pin", "waits"))
        if not any(any(self.folder.glob(pattern)) for pattern in kept):
            self.key.unlink(missing_ok=True)

    def _file(self, kind: str) -> Path:
        return self.folder / f"{self.label}.{kind}"


@contextlib.contextmanager
def _private(file: Path) -> Iterator[Any]:
    file.unlink(missing_ok=True)
    with open(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as stream:  # noqa: PTH123  (a descriptor)
        yield stream


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
