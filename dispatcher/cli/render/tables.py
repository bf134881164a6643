"""Columns of text that fit the screen."""

from __future__ import annotations

import re
from collections.abc import Sequence

LEAST = 6
"""Columns that are left of a column of text on the narrowest screens."""


ESCAPES = re.compile("\x1b\\[[0-9;]*m")
"""What makes text bold or coloured, and takes no columns."""
NARROW = frozenset("–—·×✓✗█│…≤≥→−°€§·")
"""Characters beyond Latin that our screens print, each one column wide."""


def cell_len(text: str) -> int:
    """Columns that a text takes; rich is asked only about letters that may be wide."""
    text = ESCAPES.sub("", text) if "\x1b" in text else text
    if text.isascii() or all(letter < "\u0300" or letter in NARROW for letter in text):
        return len(text)
    from rich.cells import cell_len as measured

    return measured(text)


def table(
    head: Sequence[str], rows: Sequence[Sequence[str]], *, width: int, right: Sequence[int] = (), shrink: int = -1
) -> list[str]:
    """Lines of a table no wider than `width`: column `shrink` is cut first, then the widest; `right` ones are flush right."""
    sizes = [max(cell_len(row[i]) for row in (head, *rows)) for i in range(len(head))]
    others = sum(sizes) - sizes[shrink] + 2 * (len(sizes) - 1)
    sizes[shrink] = min(sizes[shrink], max(LEAST, width - others))
    while sum(sizes) + 2 * (len(sizes) - 1) > width and max(sizes) > LEAST:
        sizes[sizes.index(max(sizes))] -= 1
    return [_line(row, sizes, right).rstrip() for row in (head, *rows)]


def wrapped(text: str, width: int, indent: str = "") -> list[str]:
    """`text` broken at spaces, further lines indented; what leads the first line stays."""
    lead = text[: len(text) - len(text.lstrip(" "))]
    lines, current = [], lead
    for word in text.split():
        if current.strip() and cell_len(current) + 1 + cell_len(word) > width:
            lines.append(current)
            current = indent
        current = f"{current} {word}" if current.strip() else current + word
    return [*lines, current] if current.strip() else lines


def _line(row: Sequence[str], sizes: Sequence[int], right: Sequence[int]) -> str:
    return "  ".join(_cell(text, size, flush_right=i in right) for i, (text, size) in enumerate(zip(row, sizes, strict=True)))


def _cell(text: str, size: int, *, flush_right: bool) -> str:
    if cell_len(text) > size:
        from rich.cells import set_cell_size

        return set_cell_size(text, size - 1) + "…"
    pad = " " * (size - cell_len(text))
    return pad + text if flush_right else text + pad
