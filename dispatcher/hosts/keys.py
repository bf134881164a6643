"""A run's own SSH key: ed25519, made once."""

from __future__ import annotations

import tempfile
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_ssh_private_key,
)

from dispatcher.errors import HostError


def new_key() -> tuple[str, str]:
    """A new key: its private part as OpenSSH writes it, and the public line."""
    private = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()
    return private, public_of(private)


def fresh_key(path: Path) -> str:
    """The public line of the key in `path`, which is made, for its owner's eyes only, unless there is one."""
    try:
        if not path.exists():
            _write(path, new_key()[0])
        return public_of(path)
    except (OSError, ValueError) as error:
        raise HostError(f"The run's key {path} cannot be made or read: {error}", fix="mlrun doctor") from error


def public_of(private: str | Path) -> str:
    """The public line ("ssh-ed25519 AAAA…") of a private key: its text, or the file that holds it."""
    text = private.read_bytes() if isinstance(private, Path) else private.encode()
    return load_ssh_private_key(text, password=None).public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


def _write(path: Path, text: str) -> None:
    """Two that make it at the same moment end with one key: the first that is linked stays."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    part = Path(name)
    with open(handle, "w") as file:  # noqa: PTH123  (a descriptor)
        file.write(text)
    try:
        path.hardlink_to(part)
    except FileExistsError:
        return
    finally:
        part.unlink()
