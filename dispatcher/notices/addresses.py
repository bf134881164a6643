"""Where notices go, and what of that may be written down."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dispatcher.jobfile.secrets import known
from dispatcher.jobfile.yaml import parse

if TYPE_CHECKING:
    from dispatcher.jobfile.load import LoadedJob

DESKTOP = "desktop"
_KEY = re.compile(r"^notify[ \t]*:.*(?:\n(?:[ \t-].*)?)*", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Address:
    """One destination. `shown` may be said and written down, `url` may not; "" where it is not known here, `why` then."""

    shown: str
    url: str = ""
    why: str = ""


def masked(entry: str) -> str:
    """An entry of `notify` without what may be secret in it: of an address its scheme."""
    scheme, there, _ = entry.partition("://")
    return f"{scheme}://…" if there else entry


def record_of(loaded: LoadedJob) -> dict[str, Any]:
    """What a run's record needs to notify whoever is to be told; nothing where nobody is."""
    if not loaded.config.notify:
        return {}
    file = str(loaded.path.resolve()) if loaded.path else ""
    return {"notify": {"to": [masked(one) for one in loaded.config.notify], "file": file, "workdir": str(loaded.workdir)}}


def text_without(loaded: LoadedJob) -> str:
    """The job file's text as it may be kept: no address in it is whole."""
    text, urls = loaded.text, [one for one in loaded.config.notify if "://" in one]
    if not urls:
        return text
    for url in sorted(urls, key=len, reverse=True):
        text = text.replace(url, masked(url))
    if any(one in urls for one in _entries(_mapping(text))):  # written with escapes, or over several lines
        text = _KEY.sub("# notify: left out, as it holds an address\n", text)
    return text if not any(one in urls for one in _entries(_mapping(text))) else "# left out, as it holds an address\n"


def addresses(entries: Iterable[str], workdir: Path) -> Iterator[Address]:
    """The addresses that entries of `notify` mean: themselves, or what the secret of that name holds, which may be several."""
    for entry in entries:
        if entry == DESKTOP:
            yield Address(DESKTOP, DESKTOP)
        elif "://" in entry:
            yield Address(masked(entry), entry)
        else:
            yield from _secret(entry, workdir)


def of_record(record: Mapping[str, Any]) -> Iterator[Address]:
    """The addresses of a run, from what `record_of` wrote; whole ones are read from the job file, where they stand."""
    told = record.get("notify")
    if not isinstance(told, dict):
        return
    file, entries = Path(str(told.get("file") or "")), [str(one) for one in told.get("to") or ()]
    written = _entries(_data(file)) if any("://" in one for one in entries) else []
    for number, entry in enumerate(entries):
        if "://" not in entry:
            yield from addresses([entry], Path(str(told.get("workdir") or ".")))
        elif number < len(written) and masked(written[number]) == entry:
            yield Address(entry, written[number])
        else:
            yield Address(entry, why=f"{file.name or 'the job file'} does not name it any more")


def of_file(file: Path) -> list[Address]:
    """The addresses in a job file of which there is no run."""
    data = _data(file)
    return list(addresses(_entries(data), file.parent / str(data.get("workdir") or ".")))


def _secret(name: str, workdir: Path) -> Iterator[Address]:
    found = known([name], workdir).get(name)
    if found is None:
        yield Address(name, why=f"the secret {name} is in none of: the environment, {workdir / '.env'}")
        return
    for url in found.reveal().split():
        yield Address(name, url)


def _data(file: Path) -> dict[str, Any]:
    try:
        return _mapping(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        return {}


def _mapping(text: str) -> dict[str, Any]:
    data = parse(text).data
    return data if isinstance(data, dict) else {}


def _entries(data: Mapping[str, Any]) -> list[str]:
    """What `notify` says."""
    entries = data.get("notify")
    return [str(one) for one in ([entries] if isinstance(entries, str) else entries if isinstance(entries, list) else [])]
