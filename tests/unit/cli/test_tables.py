"""Columns of text."""

from __future__ import annotations

import pytest
from rich.cells import cell_len

from dispatcher.cli.render.tables import table, wrapped

HEAD = ("NAME", "WHERE", "COST")


def test_columns_stand_in_line_and_numbers_are_flush_right():
    rows = [("a", "here", "free"), ("longer", "there", "$1.00")]
    assert ["NAME    WHERE   COST", "a       here    free", "longer  there  $1.00"] == table(HEAD, rows, width=80, right=(2,))


@pytest.mark.parametrize("width", [30, 40, 60, 80])
def test_a_table_is_never_wider_than_its_screen(width):
    rows = [("name " * 20, "where " * 20, "cost " * 20), ("a", "b", "c")]
    assert [] == [line for line in table(HEAD, rows, width=width) if cell_len(line) > width]


def test_the_column_that_may_shrink_gives_way_first_and_says_so():
    line = table(HEAD, [("n" * 40, "w" * 10, "c" * 10)], width=40, shrink=0)[1]
    assert ("n" * 15 + "…", "w" * 10, "c" * 10) == tuple(line.split())


def test_wide_letters_count_for_two():
    assert [6 + 2, 6 + 2] == [cell_len(line[: line.index("x")]) for line in table(("A", "x"), [("日本語", "x")], width=80)]


def test_text_is_broken_at_spaces_and_indented():
    assert ["  one two", "    three", "    four"] == wrapped("  one two three four", 10, "    ")


def test_a_word_longer_than_the_line_is_left_whole():
    assert ["see", "/a/very/long/path"] == wrapped("see /a/very/long/path", 8)


@pytest.mark.parametrize("text", ["", "   "])
def test_nothing_has_no_lines(text):
    assert [] == wrapped(text, 10)
