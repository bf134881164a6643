"""How much disk a rented machine has."""

from __future__ import annotations

import math

from dispatcher.backends.base import Terms

GB_PER_GIB = (1 << 30) / 1e9
SPARE_GIB = 30
"""Disk beside the image where nobody says how much the job needs."""


def disk_gib(terms: Terms, image_gib: int) -> int:
    """The disk's size: what the job needs, never less than the image takes."""
    if terms.disk_gb is None:
        return image_gib + SPARE_GIB
    return max(image_gib, math.ceil(terms.disk_gb / GB_PER_GIB))
