"""Files that hold keys, told by their first bytes."""

from __future__ import annotations

import re
from pathlib import Path

HEAD = 1 << 16
"""Bytes up to which a file is read for keys; larger ones are data."""
MOST_FILES = 400
MOST_BYTES = 4_000_000
"""How much is read in all: a plan answers at once, also for a folder of many small files."""
KINDS = (
    (b"PRIVATE KEY-----", re.compile(rb"-----BEGIN (?:[A-Z0-9]+ ){0,3}PRIVATE KEY-----"), "a private key"),
    (b"AKIA", re.compile(rb"(?<![A-Za-z0-9])AKIA(?![0-9A-Z]{9}EXAMPLE)[0-9A-Z]{16}(?![A-Za-z0-9])"), "an AWS access key"),
    (b"ASIA", re.compile(rb"(?<![A-Za-z0-9])ASIA[0-9A-Z]{16}(?![A-Za-z0-9])"), "an AWS session key"),
    (b"hf_", re.compile(rb"(?<![A-Za-z0-9_])hf_[A-Za-z0-9]{30,}"), "a Hugging Face token"),
    (b"sk-", re.compile(rb"(?<![A-Za-z0-9_-])sk-(?:[a-z]{2,8}-)?[A-Za-z0-9_]{20,}"), "an API key"),
    (b"ghp_", re.compile(rb"(?<![A-Za-z0-9_])ghp_[A-Za-z0-9]{36}"), "a GitHub token"),
    (b"github_pat_", re.compile(rb"github_pat_[A-Za-z0-9_]{40,}"), "a GitHub token"),
)
"""A text that all such keys contain, their form, and what they are, as their makers document them (2026-11)."""
DATA = (
    ".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".npy", ".npz", ".parquet", ".pt", ".pth",
    ".safetensors", ".pkl", ".bin", ".gz", ".zip", ".tar", ".wav", ".mp3", ".flac", ".mp4", ".so", ".onnx", ".h5",
)  # fmt: skip
"""Endings of files that are no text."""


class Reader:
    """Looks into files until it has read enough."""

    def __init__(self) -> None:
        self._files, self._bytes = MOST_FILES, MOST_BYTES

    def held(self, file: Path, size: int) -> str:
        """What key this small file holds; "" for none, for what is no text, and once enough was read."""
        if not 0 < size <= HEAD or file.suffix.lower() in DATA or self._files <= 0 or self._bytes < size:
            return ""
        self._files, self._bytes = self._files - 1, self._bytes - size
        try:
            with file.open("rb") as stream:
                return kept_in(stream.read(HEAD))
        except OSError:
            return ""


def kept_in(head: bytes) -> str:
    """What key these bytes hold; "" for none."""
    return next((what for mark, form, what in KINDS if mark in head and form.search(head)), "")
