"""YAML 1.2 as a job file reads it: values, places, and what is refused."""

from __future__ import annotations

import math
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dispatcher.jobfile.yaml import DEEPEST, LARGEST, parse, scalar


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("1e-4", 1e-4), ("50_000", 50000), ("3", 3), ("-2", -2), ("+7", 7), ("1.5", 1.5), (".5", 0.5), ("1.", 1.0),
        ("1e6", 1e6), ("0", 0), ("-0.5E+3", -500.0), ("1_000.5", 1000.5),
        ("true", True), ("False", False), ("TRUE", True), ("null", None), ("~", None), ("", None),
        ("no", "no"), ("yes", "yes"), ("on", "on"), ("22:30", "22:30"), ("2026-11-22", "2026-11-22"), ("010", "010"),
        ("0x1F", "0x1F"), ("0o17", "0o17"), ("1__0", "1__0"), ("_1", "_1"), ("1_", "1_"), ("1e", "1e"), ("-", "-"), (".", "."),
        ("nan", "nan"), ("inf", "inf"), ("16GB", "16GB"), ("1.2.3", "1.2.3"), ("tRue", "tRue"), ("１", "１"),
    ],
)  # fmt: skip
def test_a_plain_word_means_what_yaml_1_2_says(text, meaning):
    assert (type(meaning), meaning) == (type(scalar(text)), scalar(text))


def test_quotes_and_blocks_are_text():
    document = parse("a: '1'\nb: \"true\"\nc: |\n  1\nd: >\n  x\n  y\n")
    assert {"a": "1", "b": "true", "c": "1\n", "d": "x y\n"} == document.data


def test_every_key_and_value_keeps_its_place():
    document = parse("a:\n  b: [10, 'two words']\nkey: value\n")
    assert (3, 6, 5) == _place(document.values["key",])
    assert (3, 1, 3) == _place(document.keys["key",])
    assert (2, 6, 1) == _place(document.values["a", "b"])
    assert (2, 11, 11) == _place(document.values["a", "b", 1])
    assert "10" == document.written["a", "b", 0]


def _place(place):
    return place.line, place.column, place.width


@pytest.mark.parametrize(
    ("text", "said", "line", "column"),
    [
        ("a: &x 1\n", "anchor", 1, 4),
        ("a: 1\nb: *x\n", "alias", 2, 4),
        ("a: !!str 1\n", "tag, '!!str'", 1, 4),
        ("a: !include x\n", "tag", 1, 4),
        ("a: 1\na: 2\n", "second time, after line 1", 2, 1),
        ("a:\n  b: 1\n  c: 1\n  b: 2\n", "'b' is here a second time", 4, 3),
        ("a: 1\n---\nb: 1\n", "second document", 2, 1),
        ("a: .nan\n", ".nan is not a number", 1, 4),
        ("a: -.Inf\n", "-.Inf is not a number", 1, 4),
        ("a: 1e999\n", "beyond any use", 1, 4),
        ("a: " + "9" * 5000, "beyond any use", 1, 4),
        ("? [a, b]\n: 1\n", "key must be a word", 1, 3),
        ("{a: 1}: 2\n", "key must be a word", 1, 1),
        ("a:\n\t- b\n", "cannot begin a value", 2, 1),
        ("a: 'x\n", "never closed", 1, 4),
        ("a: [1, 2\nb: 3\n", "bracket is not closed", 1, 4),
        ("a: b: c\n", "second ':'", 1, 5),
        ("a: 1\n b: 2\n", "second ':'", 2, 3),
        ("a: 1\nb\n", "without its ':'", 3, 1),
        ('a: "\\q"\n', "escape", 1, 6),
        ('a: "\\0"\n', "cannot be written to a command", 1, 4),
        ('a: "\\ud800"\n', "cannot be written to a command", 1, 4),
        ("a: x\x07y\n", "U+0007", 1, 5),
        ("a: x\0y\n", "U+0000", 1, 5),
        ("a: x\u2028y\n", "U+2028", 1, 5),
        ("a: 1\nb: \ufeff2\n", "U+FEFF", 2, 4),
        ("[" * 50, "deeper than 32", 1, DEEPEST + 1),
    ],
)
def test_what_a_job_file_may_not_hold_is_refused_at_its_place(text, said, line, column):
    problems = parse(text).problems
    assert [(line, column)] == [(one.line, one.column) for one in problems if said in one.message][:1], problems
    assert all(one.fix for one in problems)


def test_all_of_them_are_told_at_once():
    assert [1, 2, 3, 4] == [one.line for one in parse("a: &x 1\na: 2\nb: .nan\nc: !t 3\n").problems]


def test_bytes_that_are_no_utf_8_are_placed():
    problem = parse(b"a: 1\nb: \xff\n").problems[0]
    assert (2, 4, "a byte that is not UTF-8.") == (problem.line, problem.column, problem.message)


def test_utf_16_is_told_by_name():
    assert "UTF-16 text." == parse("run: x".encode("utf-16")).problems[0].message


def test_a_byte_order_mark_and_foreign_line_ends_do_not_matter():
    document = parse(b"\xef\xbb\xbfa: 1\r\nb: 2\rc: 3\n")
    assert {"a": 1, "b": 2, "c": 3} == document.data
    assert 3 == document.values["c",].line


def test_a_file_of_exactly_the_largest_size_is_read():
    assert [] == parse(b"a: 1\n" + b"#" * (LARGEST - 5)).problems
    assert ["at most 262,144 bytes"] == [one.message[15:36] for one in parse(b"a: 1\n" + b"#" * (LARGEST - 4)).problems]


def test_nesting_of_exactly_the_deepest_level_is_read():
    assert [] == parse("[" * DEEPEST + "]" * DEEPEST).problems


def test_a_long_value_is_cut_in_what_is_said():
    assert all(
        len(one.message) < 200 for one in parse("!" + "t" * 5000 + " a").problems + parse("&" + "t" * 5000 + " a").problems
    )


@pytest.mark.parametrize("text", ["[" * 100_000, "- " * 50_000, "a: 1\n" * 40_000, "#" * 250_000, "&a " * 60_000], ids=len)
def test_a_hostile_file_takes_no_more_than_seconds(text):
    began = time.process_time()
    assert "#" in text or parse(text).problems
    assert 15 > time.process_time() - began


@given(st.text(max_size=60))
@settings(max_examples=300, deadline=None)
def test_any_text_is_data_or_problems(text):
    document = parse(text)
    assert document.problems or not any(isinstance(one, float) and not math.isfinite(one) for one in [document.data])
    assert all(0 <= one.line <= len(document.lines) for one in document.problems)
