"""The words of a command are those the shell sees."""

from __future__ import annotations

import shlex
import subprocess

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dispatcher.jobfile.words import appended, quoted, references, words

PLAIN = st.text(alphabet="ab =-'\"\\\n\t", max_size=25)


@given(PLAIN)
@settings(max_examples=400, deadline=None)
def test_words_are_split_as_a_posix_shell_does(command):
    assume("\\\n" not in command)  # shlex does not join such lines
    try:
        expected = shlex.split(command, comments=False)
    except ValueError:
        assume(False)
    assert expected == [one.text for one in words(command)]


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("a b # c d", ["a", "b"]),
        ("a#b c", ["a#b", "c"]),
        ("a && b|c>d", ["a", "&", "&", "b", "|", "c", ">", "d"]),
        ("a \\\n  b", ["a", "b"]),
        ("a 'x y' \"p q\"", ["a", "x y", "p q"]),
        ("", []),
        ("# only", []),
    ],
)
def test_operators_stand_alone_and_comments_are_left_out(command, expected):
    assert expected == [one.text for one in words(command)]


def test_a_word_knows_its_span_and_whether_the_shell_changes_it():
    command = "run \"$HOME/x\" 'a b' *.csv"
    assert [("run", True), ('"$HOME/x"', False), ("'a b'", True), ("*.csv", False)] == [
        (command[one.start : one.end], one.fixed) for one in words(command)
    ]


def test_what_begins_a_command_is_marked():
    found = words("A=1 python x; B=2 C=3 sh y\nls")
    assert ["A=1", "python", "B=2", "C=3", "sh", "ls"] == [one.text for one in found if one.first]


def test_only_dotted_names_are_ours():
    found = references("x ${training.batch_size} ${HOME} $a.b \"${a.b.c}\" '${d.e}' ${x:-y} ${a.}")
    assert [("training.batch_size", ""), ("a.b.c", '"'), ("d.e", "'")] == [(one.setting, one.quote) for one in found]


HOSTILE = [
    "plain",
    "two words",
    "it's",
    'say "hi"',
    "$HOME",
    "`id`",
    "a;b",
    "new\nline",
    "back\\slash",
    "*",
    "#x",
    "$(id)",
    "!x",
    "",
    "é",
]


@pytest.mark.parametrize("quote", ["", "'", '"'])
@pytest.mark.parametrize("text", HOSTILE)
def test_a_quoted_text_reaches_the_program_as_it_is(text, quote):
    command = f"printf %s {quote}{quoted(text, quote)}{quote}"
    assert text == subprocess.run(["sh", "-c", command], capture_output=True, check=True).stdout.decode()


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("python t.py", "python t.py --name 'a b' ''"),
        ("python t.py # note", "python t.py --name 'a b' ''"),
        ("a\nb  # last\n", "a\nb --name 'a b' ''"),
    ],
)
def test_more_words_go_to_the_end_before_a_comment(command, expected):
    assert expected == appended(command, ("--name", "a b", ""))


def test_no_words_change_nothing():
    assert "a # b" == appended("a # b", ())
