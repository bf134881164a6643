"""Disks of rented machines."""

from __future__ import annotations

import pytest

from dispatcher.backends.base import Terms
from dispatcher.backends.cloud.disk import disk_gib


@pytest.mark.parametrize(("disk_gb", "gib"), [(None, 95), (10, 65), (65 * 1.073741824, 65), (107.4, 101), (500, 466)])
def test_a_disk_is_never_smaller_than_its_image(disk_gb, gib):
    assert gib == disk_gib(Terms(disk_gb=disk_gb), 65)
