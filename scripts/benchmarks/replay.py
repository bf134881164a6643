"""Would what was learned have helped? Replays measured runs, oldest first.

Every row is asked with only the rows above it learned, then one source is learned and the others are asked. Rows stand in
FOLDER/*.csv: source, subject, method, device, model, quantity, predicted, low, high, measured.

python scripts/benchmarks/replay.py FOLDER
"""

from __future__ import annotations

import argparse
import csv
import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from dispatcher.domain.observation import SECONDS, Key, Observation
from dispatcher.domain.plan import Range
from dispatcher.planner.calibrate import NEWEST, correction

HEAD = f"{'':54} {'asked':>6} {'median':>15} {'nine in ten':>15} {'in the range':>15} {'better':>7} {'worse':>6}"


@dataclass(frozen=True)
class Row:
    """One measured figure with what the formula said."""

    source: str
    seen: Observation
    predicted: Range

    @property
    def group(self) -> str:
        """What it is reported under."""
        return f"{self.seen.key.subject}, {self.seen.key.method}, {self.seen.quantity}"


@dataclass(frozen=True)
class Answer:
    """How many times off the formula was and the corrected figure is, and whether the range held what was measured."""

    group: str
    plain: float
    learned: float
    plain_held: bool
    learned_held: bool


def read(folder: Path) -> list[Row]:
    """Every row of every table, in the files' order."""
    rows = []
    for file in sorted(folder.glob("*.csv")):
        with file.open(newline="", encoding="utf-8") as stream:
            rows += [_row(line, number) for number, line in enumerate(csv.DictReader(stream))]
    return rows


def _row(line: dict[str, str], number: int) -> Row:
    predicted = Range(*(float(line[name]) for name in ("low", "predicted", "high")))
    key = Key(line["subject"], line["method"], line["device"])
    quantity = line.get("quantity") or SECONDS
    seen = Observation(str(number), quantity, key, predicted.likely, float(line["measured"]), float(number), line["model"])
    return Row(line["source"], seen, predicted)


def in_order(rows: Iterable[Row]) -> Iterator[Answer]:
    """Each row asked with the earlier rows of its own source learned: one user, run after run."""
    before: dict[tuple[str, Key, str], list[Observation]] = defaultdict(list)
    for row in rows:
        known = before[row.source, row.seen.key, row.seen.quantity]
        if known:
            yield ask(row, known)
        known.append(row.seen)


def across(rows: list[Row]) -> Iterator[Answer]:
    """Each row asked with only the newest rows of one other source learned, for every such source."""
    by: dict[tuple[Key, str], dict[str, list[Row]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        by[row.seen.key, row.seen.quantity][row.source].append(row)
    for sources in by.values():
        for learned, theirs in sources.items():
            known = [one.seen for one in theirs[-NEWEST:]]
            for source, mine in sources.items():
                yield from (ask(row, known) for row in mine if source != learned)


def ask(row: Row, known: list[Observation]) -> Answer:
    """The row's figure by the formula alone, and corrected."""
    found = correction(known, row.seen.quantity, row.predicted, row.seen.model)
    after, measured = found.on(row.predicted), row.seen.measured
    return Answer(
        row.group,
        _off(row.predicted.likely, measured),
        _off(after.likely, measured),
        row.predicted.low <= measured <= row.predicted.high,
        after.low <= measured <= after.high,
    )


def _off(predicted: float, measured: float) -> float:
    return math.exp(abs(math.log(measured / predicted)))


def report(title: str, answers: list[Answer]) -> Iterator[str]:
    """A line per group: plain → learned."""
    yield f"\n{title}"
    yield HEAD
    groups = defaultdict(list)
    for answer in answers:
        groups[answer.group].append(answer)
        groups["all"].append(answer)
    for name, found in sorted(groups.items(), key=lambda pair: (pair[0] == "all", pair[0])):
        yield _line(name, found)


def _line(name: str, found: list[Answer]) -> str:
    plain, learned = sorted(one.plain for one in found), sorted(one.learned for one in found)
    last = min(len(found) - 1, int(0.9 * len(found)))
    held = [sum(one) / len(found) for one in ([a.plain_held for a in found], [a.learned_held for a in found])]
    better = sum(a.learned < a.plain - 0.005 for a in found) / len(found)
    worse = sum(a.learned > a.plain + 0.005 for a in found) / len(found)
    cells = (
        f"×{statistics.median(plain):.2f} → ×{statistics.median(learned):.2f}",
        f"×{plain[last]:.2f} → ×{learned[last]:.2f}",
        f"{held[0]:.0%} → {held[1]:.0%}",
    )
    return "{:54} {:>6} {:>15} {:>15} {:>15} {:>7.0%} {:>6.0%}".format(name[:54], len(found), *cells, better, worse)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="tables of runs with what was predicted and measured")
    rows = read(parser.parse_args().folder)
    print(*report("run after run", list(in_order(rows))), sep="\n")
    print(*report("one source learned, the others asked", list(across(rows))), sep="\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
