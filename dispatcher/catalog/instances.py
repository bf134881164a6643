"""Machine types that AWS and GCP rent, and what their families share."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from dispatcher.catalog.spelling import nearest
from dispatcher.catalog.tables import cut, figure, keyed, number, read_table, sources, unknown
from dispatcher.domain.hardware import InstanceType

TABLE = "instances"
FAMILIES = "instance-families"
_SIZES = ("vcpus", "cores", "ram_gib", "accelerator", "count", "local_ssd_gb", "network_gbps")
_COLUMNS = ("provider", "name", "family", *_SIZES, "cpu")
_FAMILY_COLUMNS = ("provider", "family", "arch", "vendor", "cpu", "clock_ghz", "quota", "sold", "interruption", "source")


@dataclass(frozen=True, slots=True)
class Family:
    """What machine types of one family share.

    `cpu` names the processor most of them have ("" where unknown), `quota` the cloud's limit that counts them, `sold` how
    they are had: on-demand, reserved (capacity blocks, flex start), burstable or previous (older, being retired).
    `interruption` is the share of spot machines taken back within a month, the upper end of the published band.
    """

    provider: str
    name: str
    arch: str
    vendor: str
    cpu: str
    clock_ghz: float
    quota: str
    sold: str
    interruption: float | None
    source: str
    as_of: str


@cache
def instances() -> tuple[InstanceType, ...]:
    """Every machine type of the catalog, in the table's order."""
    return tuple(_built(*key) for key in _lines()[1])


@cache
def those_with(*, accelerators: bool) -> tuple[InstanceType, ...]:
    """The machine types with accelerators, or those without, in the table's order."""
    heading, lines = _lines()
    at = heading.index("accelerator")
    return tuple(_built(*key) for key, line in lines.items() if bool(line.split(",", at + 1)[at]) == accelerators)


@cache
def families() -> dict[tuple[str, str], Family]:
    """Every family, by provider and name."""
    rows = read_table(FAMILIES, _FAMILY_COLUMNS)
    return {(row["provider"], row["family"]): _family(row) for row in rows}


def family(instance: InstanceType) -> Family:
    """The family of a machine type."""
    return families()[instance.provider, instance.family]


def cpu_model(instance: InstanceType) -> str:
    """The name of the processor behind a machine type; "" where unknown."""
    heading, lines = _lines()
    line = lines.get((instance.provider, instance.name))  # a type need not have its family's
    return (cut(heading, line)["cpu"] if line else "") or family(instance).cpu


def find_instance(provider: str, name: str) -> InstanceType | None:
    """The machine type with this name; None where unknown."""
    key = (provider.lower(), name.strip().lower())
    return _built(*key) if key in _lines()[1] else None


def similar_instances(provider: str, name: str) -> tuple[str, ...]:
    """Names of this provider like this one, best first: for "did you mean"."""
    return nearest(name, (instance.name for instance in instances() if instance.provider == provider.lower()))


@cache
def _lines() -> tuple[list[str], dict[tuple[str, ...], str]]:
    return keyed(TABLE, _COLUMNS, keys=2)


@cache
def _built(provider: str, name: str) -> InstanceType:
    heading, lines = _lines()
    return _instance(cut(heading, lines[provider, name]))


def _instance(row: dict[str, str]) -> InstanceType:
    kin = families().get((row["provider"], row["family"]))
    if kin is None:
        raise unknown(row, "family", TABLE)
    return InstanceType(
        provider=row["provider"],
        name=row["name"],
        family=row["family"],
        vcpus=int(figure(row, "vcpus", TABLE)),
        cores=int(figure(row, "cores", TABLE)),
        ram_gib=figure(row, "ram_gib", TABLE),
        accelerator=row["accelerator"],
        accelerator_count=number(row, "count", TABLE) or 0.0,
        local_ssd_gb=number(row, "local_ssd_gb", TABLE) or 0.0,
        network_gbps=number(row, "network_gbps", TABLE) or 0.0,
        cpu_arch=kin.arch,
        cpu_vendor=kin.vendor,
        clock_ghz=kin.clock_ghz,
        source=kin.source,
        as_of=kin.as_of,
    )


def _family(row: dict[str, str]) -> Family:
    source, as_of = sources().get(row["source"], (row["source"], ""))
    return Family(
        provider=row["provider"],
        name=row["family"],
        arch=row["arch"],
        vendor=row["vendor"],
        cpu=row["cpu"],
        clock_ghz=number(row, "clock_ghz", FAMILIES) or 0.0,
        quota=row["quota"],
        sold=row["sold"],
        interruption=number(row, "interruption", FAMILIES),
        source=source,
        as_of=as_of,
    )
