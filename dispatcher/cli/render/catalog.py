"""The catalog on the screen: lists and comparisons."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

from dispatcher.catalog.search import Entry, ages, compare, known_regions, price_ages, search
from dispatcher.cli.render.console import bold, dim, document, say, width
from dispatcher.cli.render.tables import table, wrapped
from dispatcher.errors import UsageError
from dispatcher.units import show_count

SHOWN = 40
NARROW = 72
"""Below so many columns the last two figures of a list give way."""
HEADINGS = {
    "accelerator": ("memory_gib", "bandwidth_gbs", "fp32_tflops", "fp16_tflops", "compute_capability", "tier", "year"),
    "machine": ("vcpus", "ram_gib", "accelerators", "accelerator"),
    "cpu": ("cores", "threads", "gflops", "bandwidth_gbs", "segment", "year"),
    "model": ("kind", "parameters", "layers", "hidden", "heads", "vocab"),
    "network": ("family", "parameters", "gmacs", "image_size", "kind"),
}
SHORT = {
    "memory_gib": "GiB", "ram_gib": "GiB", "bandwidth_gbs": "GB/s", "fp32_tflops": "fp32", "fp16_tflops": "fp16",
    "gmacs": "GMAC", "image_size": "pixels", "vcpus": "vCPU", "compute_capability": "CC",
    "accelerators": "n", "accelerator": "device", "parameters": "params",
}  # fmt: skip
"""Headings of lists; fp32 and fp16 are dense TFLOP/s, CC is the compute capability."""
TITLES = {"accelerator": "ACCELERATORS", "machine": "MACHINES", "cpu": "PROCESSORS", "model": "MODELS", "network": "NETWORKS"}


def show_found(words: Sequence[str], *, region: str | None, as_json: bool) -> int:
    """What holds all the words; without words, what there is and how old it is."""
    _known(region)
    found = search(words, region=region)
    if as_json:
        document({"schema": "1.0", "entries": [entry.as_dict() for entry in found]})
        return 0
    if not words:
        say("\n".join(_overview(found)), to_stdout=True)
        return 0
    if not found:
        raise UsageError(f"Nothing in the catalog is called {' '.join(words)!r}.", fix="mlrun catalog show, with fewer words")
    lines = [line for kind in HEADINGS for line in _listed(kind, [entry for entry in found if entry.kind == kind])]
    say("\n".join(lines), to_stdout=True)
    return 0


def show_comparison(words: Sequence[str], *, region: str | None, as_json: bool) -> int:
    """The things named, side by side."""
    if len(words) < 2:
        raise UsageError("--compare needs two names or more.", fix="mlrun catalog show --compare T4 L4")
    _known(region)
    entries = compare(words, region=region)
    missing = [word for word, entry in zip(words, entries, strict=True) if entry is None]
    if missing:
        raise UsageError(f"The catalog does not know {', '.join(missing)}.", fix=f"mlrun catalog show {missing[0]}")
    known = [entry for entry in entries if entry]
    if as_json:
        document({"schema": "1.0", "entries": [entry.as_dict() for entry in known]})
        return 0
    names = list(dict.fromkeys(name for entry in known for name in entry.figures))
    rows = [(_words(name), *(_figure(name, entry) for entry in known)) for name in names]
    rows += [("price per hour", *(_prices(entry) for entry in known))] if any(entry.prices for entry in known) else []
    rows += [("as of", *(entry.as_of for entry in known))]
    lines = table(("", *(entry.name for entry in known)), rows, width=width())
    say("\n".join([*lines, *_price_sources(known)]), to_stdout=True)
    return 0


def _known(region: str | None) -> None:
    """Refuse a region of which nothing is known: no price would be found, as if nothing were sold there."""
    known = known_regions()
    if region is not None and region not in known:
        near = get_close_matches(region, known, n=4) or known
        raise UsageError(f"--region {region}: the catalog has no prices of that region.", fix=f"Near: {', '.join(near[:4])}")


def _overview(found: Sequence[Entry]) -> list[str]:
    lines = [f"{sum(entry.kind == kind for entry in found):>5}  {title.lower()}" for kind, title in TITLES.items()]
    lines += ["", bold("WHERE THE FIGURES ARE FROM")]
    for name, source, date in ages():
        lines += wrapped(f"  {name}, {date}: {source}", width(), "    ")
    how = "Search: mlrun catalog show a100 · compare: mlrun catalog show --compare T4 L4"
    return [*lines, "", *(dim(line) for line in wrapped(how, width(), "  "))]


def _listed(kind: str, entries: Sequence[Entry]) -> list[str]:
    if not entries:
        return []
    names = HEADINGS[kind][: None if width() >= NARROW else -2]
    priced = kind == "machine"
    rows = [
        (entry.name, *(_figure(name, entry) for name in names), *(_by_market(entry) if priced else ()), _remark(entry))
        for entry in entries[:SHOWN]
    ]
    head = (TITLES[kind], *(SHORT.get(name, _words(name)) for name in names), *(("on demand", "spot") if priced else ()), "")
    right = tuple(i + 1 for i, name in enumerate(names) if isinstance(entries[0].figures.get(name), (int, float)))
    more = [dim(f"  {len(entries) - SHOWN} more: say more words")] if len(entries) > SHOWN else []
    return [*table(head, rows, width=width(), right=right), *more, *_sources(entries), *_price_sources(entries[:SHOWN])]


def _sources(entries: Sequence[Entry]) -> list[str]:
    found = sorted({(entry.as_of, entry.source) for entry in entries[:SHOWN]}, reverse=True)[:3]
    return [dim(line) for date, source in found for line in wrapped(f"  {date}: {source}", width(), "    ")]


def _price_sources(entries: Sequence[Entry]) -> list[str]:
    """Where the prices are from, and when."""
    found = price_ages(entries)
    more = f"; and {len(found) - 3} more sources" if len(found) > 3 else ""
    texts = [f"  prices of {date}: {source}" for date, source in found[:3]]
    return [dim(line) for text in [*texts[:-1], *(one + more for one in texts[-1:])] for line in wrapped(text, width(), "    ")]


def _remark(entry: Entry) -> str:
    return "" if entry.verified or entry.kind == "cpu" else "unverified"


def _words(name: str) -> str:
    for old, new in (
        ("_gib", " GiB"),
        ("_gbs", " GB/s"),
        ("_tflops", " TFLOPS"),
        ("_tops", " TOPS"),
        ("tdp_w", "power W"),
        ("_gbps", " Gbit/s"),
        ("_usd", " $"),
        ("_", " "),
    ):
        name = name.replace(old, new)
    return name


def _figure(name: str, entry: Entry) -> str:
    value = entry.figures.get(name)
    if value is None:
        return "–"
    if name == "parameters":
        return show_count(float(value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _by_market(entry: Entry) -> tuple[str, str]:
    """The price on demand and the spot price, each with its region."""
    named = {o.market: o for o in entry.prices if o.price_per_hour}
    demand, spot = named.get("on-demand"), named.get("spot")
    return (
        f"${demand.price_per_hour:.3g} {demand.region}" if demand else "–",
        f"${spot.price_per_hour:.3g} {spot.region}" if spot else "–",
    )


def _prices(entry: Entry) -> str:
    prices = [f"${offer.price_per_hour:.3g} {offer.market} {offer.region}" for offer in entry.prices if offer.price_per_hour]
    return ", ".join(prices) or "–"
