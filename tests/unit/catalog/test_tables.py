"""The embedded tables: large enough, sound by every guard, and clear about being damaged."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest

from dispatcher import catalog, paths
from dispatcher.catalog import guards, networks, tables
from dispatcher.catalog.accelerators import same_memory
from dispatcher.catalog.prices import Quote
from dispatcher.catalog.tables import CatalogDamaged
from dispatcher.planner.constants import constant, constants

MEGABYTE = 1e6
MODULES = (
    *(f"catalog.{name}" for name in ("accelerators", "cpus", "instances", "models", "networks", "offers", "prices", "tables")),
    "planner.constants",
)


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The tables in a folder that a test may damage."""
    folder = tmp_path / "data"
    shutil.copytree(paths.tables_dir(), folder)
    monkeypatch.setattr(tables, "tables_dir", lambda: folder)
    forget()
    yield folder
    forget()


def forget() -> None:
    """Empty the catalog's memory, so that tables are read again."""
    for name in MODULES:
        for reader in vars(import_module(f"dispatcher.{name}")).values():
            if hasattr(reader, "cache_clear"):
                reader.cache_clear()


def test_the_tables_are_as_large_as_promised() -> None:
    tiers = {part.tier for part in catalog.accelerators()}
    assert {"datacenter", "desktop", "laptop", "workstation", "integrated", "apple", "tpu"} == tiers
    assert len(catalog.accelerators()) >= 150
    assert len(catalog.cpus()) >= 60
    assert len(catalog.models()) >= 80
    families = {kind.family for kind in catalog.instances()}
    assert {"r4", "m4", "c4", "c5", "p2", "p3", "p4d", "p5", "g3", "g4dn", "g5", "g6e", "a2", "a3", "g2", "n1"} <= families


@pytest.mark.parametrize("market", ["on-demand", "spot"])
@pytest.mark.parametrize(("provider", "common"), [("aws", "c5.xlarge"), ("gcp", "n1-standard-4")])
def test_common_machines_are_priced_in_at_least_six_regions(provider: str, common: str, market: str) -> None:
    priced = {quote.region for quote in catalog.quotes(provider)[common] if quote.market == market}
    assert len(priced) >= 6


def test_the_tables_are_small() -> None:
    mine = [file for file in paths.tables_dir().iterdir() if not file.name.startswith(("models-vision", "constants"))]
    assert sum(file.stat().st_size for file in mine) < MEGABYTE


def test_every_guard_holds() -> None:
    assert [] == guards.findings()


A, B = (
    Quote("aws", "g5.xlarge", "us-east-1", "on-demand", 1.0, "a"),
    Quote("aws", "g5.xlarge", "eu-west-1", "on-demand", 1.1, "b"),
)
SPOT = Quote("aws", "g5.xlarge", "us-east-1", "spot", 0.4, "s")
PLANTED = [
    (guards.spot_not_below, SPOT._replace(usd=1.0)),
    (guards.spot_not_below, SPOT._replace(usd=0.01)),
    (guards.placeholders, SPOT._replace(usd=0.0)),
    (guards.placeholders, B._replace(usd=700.0)),
    (guards.far_from_home, B._replace(usd=0.49)),
    (guards.far_from_home, B._replace(usd=2.01)),
]


def test_sound_prices_pass_every_guard() -> None:
    sound = {"g5.xlarge": (A, B, SPOT)}
    assert [] == [fault for guard in guards.PRICE_GUARDS for fault in guard(sound)]


@pytest.mark.parametrize(("guard", "planted"), PLANTED, ids=lambda value: getattr(value, "__name__", str(value)[:0] or None))
def test_a_guard_finds_a_planted_price(guard: object, planted: Quote) -> None:
    assert 1 == len(list(guard({"g5.xlarge": (A, planted)})))  # type: ignore[operator]


def test_a_guard_finds_a_price_without_a_machine() -> None:
    assert ["g55.xlarge has prices but no description"] == list(guards.homeless({"g55.xlarge": (A,)}))


def test_guards_find_planted_machines_accelerators_processors_and_models() -> None:
    kind, part, cpu, model = (table()[0] for table in (catalog.instances, catalog.accelerators, catalog.cpus, catalog.models))
    assert list(guards.bad_instances([replace(kind, accelerator="A101", accelerator_count=1)]))
    assert list(guards.bad_instances([replace(kind, ram_gib=0.0)]))
    assert list(guards.bad_accelerators([part, part]))
    assert list(guards.bad_accelerators([replace(part, source="")]))
    assert list(guards.bad_cpus([replace(cpu, gflops=cpu.gflops * 10)]))
    assert list(guards.bad_models([replace(model, layers=model.layers + 1)]))


def test_memory_that_clouds_report_is_within_seven_percent_of_the_nameplate() -> None:
    reported = {"A10G": 22.35, "L4": 22.35, "L40S": 44.7, "T4": 16.0, "B200": 179.06, "B300": 268.59}
    off = {name: gib for name, gib in reported.items() if not same(name, gib)}
    assert {} == off


def same(name: str, gib: float) -> bool:
    part = catalog.find_accelerator(name)
    return part is not None and same_memory(part.memory_gib, gib)


def test_unknown_stays_unknown() -> None:
    assert "p5e.48xlarge" not in {quote.machine for quote in catalog.quotes("aws").get("p5e.48xlarge", ()) if quote.usd == 0}
    assert all(quote.usd > 0 for found in catalog.quotes("gcp").values() for quote in found)
    families = catalog.families()
    assert families["aws", "p6-b200"].cpu == ""
    assert families["gcp", "a2"].interruption is None


def test_what_was_not_verified_says_so() -> None:
    part = catalog.find_accelerator("K80")
    assert part is not None
    assert ("recalled", True) == (part.confidence, "not verified" in part.source)


DAMAGE = {
    "missing": lambda file: file.unlink(),
    "empty": lambda file: file.write_text(""),
    "headings only": lambda file: file.write_text(file.read_text().splitlines()[0] + "\n"),
    "cut short": lambda file: file.write_bytes(file.read_bytes()[:-30]),
    "not text": lambda file: file.write_bytes(b"\xff\xfe\x00" * 99),
    "not a table": lambda file: file.write_text("<html>503 Service unavailable</html>"),
    "an open quote": lambda file: file.write_text(file.read_text().replace("\n", '\n"', 1)),
    "a folder": lambda file: (file.unlink(), file.mkdir()),
}
READ = {
    "accelerators": catalog.accelerators,
    "cpus": catalog.cpus,
    "instances": catalog.instances,
    "instance-families": catalog.families,
    "models-language": catalog.models,
    "prices-aws": lambda: catalog.quotes("aws"),
    "prices-beside": lambda: catalog.tariff("aws", None),
    "models-vision": lambda: catalog.find_network(list(networks._lines("vision"))[-1]),
    "constants-neural": constants,
    "constants-vision": constants,
    "constants-tables": constants,
}


@pytest.mark.parametrize("name", READ)
@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_table_is_named_with_what_to_do(copied: Path, name: str, damage: str) -> None:
    DAMAGE[damage](copied / f"{name}.csv")  # type: ignore[no-untyped-call]
    with pytest.raises(CatalogDamaged) as caught:
        READ[name]()  # type: ignore[operator]
    assert f"{name}.csv" in caught.value.message
    assert "pip install" in caught.value.fix


SPOILT = [
    ("instances", "vcpus", "many", catalog.instances),
    ("instances", "ram_gib", "", catalog.instances),
    ("instances", "family", "no-such-family", catalog.instances),
    ("instance-families", "clock_ghz", "fast", catalog.families),
    ("accelerators", "memory_gib", "nan", catalog.accelerators),
    ("cpus", "cores", "inf", catalog.cpus),
    ("constants-neural", "value", "a lot", constants),
    ("constants-neural", "value", "", constants),
    ("constants-tables", "value", "1,0", constants),
    ("models-language", "layers", "twelve", catalog.models),
]


@pytest.mark.parametrize(("name", "column", "cell", "read"), SPOILT)
def test_a_spoilt_cell_is_named_with_its_file_and_line(
    copied: Path, name: str, column: str, cell: str, read: Callable[[], object]
) -> None:
    file = copied / f"{name}.csv"
    heading, *rows = csv.reader(file.read_text(encoding="utf-8").splitlines())
    rows[6][heading.index(column)] = cell
    with file.open("w", newline="", encoding="utf-8") as target:
        csv.writer(target).writerows([heading, *rows])
    with pytest.raises(CatalogDamaged, match=rf"{name}\.csv is damaged: line 8") as caught:
        read()
    assert caught.value.fix.startswith("pip install --force-reinstall")


@pytest.mark.parametrize("column", networks.COLUMNS[2:])
def test_a_spoilt_cell_of_a_network_is_named_with_its_file(copied: Path, column: str) -> None:
    file = copied / "models-vision.csv"
    heading, *rows = csv.reader(file.read_text(encoding="utf-8").splitlines())
    row = next(row for row in rows if row[0] == "resnet50")
    row[heading.index(column)] = "%"
    with file.open("w", newline="", encoding="utf-8") as target:
        csv.writer(target).writerows([heading, *rows])
    with pytest.raises(CatalogDamaged, match=r"models-vision\.csv is damaged: the line of 'resnet50'"):
        catalog.find_network("resnet50")


def test_a_constant_whose_line_is_gone_is_a_damaged_table_not_a_bug(copied: Path) -> None:
    file = copied / "constants-neural.csv"
    file.write_text("\n".join(line for line in file.read_text().splitlines() if not line.startswith("context_cuda,")) + "\n")
    with pytest.raises(CatalogDamaged, match="context_cuda"):
        constant("context_cuda")
