"""How large trees grow: leaves, nodes and levels, from what bounds them."""

from __future__ import annotations

from math import exp, log2, sqrt

from dispatcher.domain.workload import TableWorkload
from dispatcher.planner.constants import constant

MOST_LEVELS = 60
"""Nothing is deeper than this in the formulas: 2^60 rows are more than any table has."""
UNBOOSTED = frozenset({"random-forest", "extra-trees", "decision-tree", "ada-boost"})
BOOSTED = frozenset({"gradient-boosting", "hist-gradient-boosting"})
DISTINCT = 1 - exp(-1)
"""Share of the rows in a sample drawn with replacement, as large as the table."""
SMALLEST = 20.0
"""Rows in the smallest leaf of the boosting libraries: LightGBM's and scikit-learn's default."""


def leaves(work: TableWorkload) -> float:
    """Leaves of one tree: what rows, depth and leaves allow, the least of them."""
    bound = [max(1.0, grown(work))]
    if work.leaves:
        bound.append(float(work.leaves))
    if work.depth:
        bound.append(2.0 ** min(work.depth, MOST_LEVELS))
    return min(bound)


def grown(work: TableWorkload) -> float:
    """Leaves of a tree that only its rows bound."""
    if work.algorithm == "isolation-forest":
        return 128.0
    if work.algorithm in BOOSTED:
        return work.rows / SMALLEST
    if not work.classes:
        return work.rows * DISTINCT
    share: float = constant("extra_leaves" if work.algorithm == "extra-trees" else "forest_leaves")
    return work.rows * share


def seen(work: TableWorkload) -> float:
    """Distinct rows that one tree is grown on: forests draw them with replacement."""
    return work.rows * DISTINCT if work.algorithm == "random-forest" else work.rows


def levels(work: TableWorkload) -> float:
    """How often a row is looked at while one tree grows: the depth of the leaf it ends in, on average."""
    balanced = log2(max(2.0, leaves(work)))
    deeper: float = balanced * (constant("unbalance") if work.algorithm in UNBOOSTED else 1.0)
    return min(deeper, float(work.depth)) if work.depth else deeper


def outputs(work: TableWorkload) -> int:
    """Trees per round of boosting, or models per fit: one per class where there are more than two."""
    return work.classes if work.classes > 2 else 1


def tried(work: TableWorkload) -> float:
    """Columns that are looked at for one split: forests of classifiers try the square root of them."""
    if work.algorithm in ("random-forest", "extra-trees") and work.classes:
        return max(1.0, sqrt(work.columns))
    return work.columns
