"""The least form of every row that is measured on real parts."""

from __future__ import annotations

import importlib

import pytest

from tests.guarantees.row import Size
from tests.sshd import available

ROWS = ("r05", "r06", "r07", "r08", "r11", "r12", "r13")


@pytest.mark.slow
@pytest.mark.skipif(not available(), reason="needs sshd")
@pytest.mark.parametrize("name", ROWS)
def test_the_row_is_reached_in_its_least_form(name):
    row = importlib.import_module(f"tests.guarantees.rows.{name}").measure(Size.LEAST)
    assert row.reached, str(row)


@pytest.mark.slow
@pytest.mark.lab
def test_the_ports_of_a_rented_machine_are_shut():
    from tests.guarantees.rows import r14

    row = r14.measure(Size.LEAST)
    assert row.reached, str(row)
