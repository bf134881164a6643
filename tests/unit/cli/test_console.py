"""What may be shown where: colours, encodings, widths."""

from __future__ import annotations

import io

import pytest

from dispatcher.cli.render.console import bad, document, plain, printable, say, width


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def __init__(self, encoding: str = "utf-8") -> None:
        super().__init__()
        self._encoding = encoding

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._encoding

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def colourful(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("NO_COLOR", ""), ("TERM", "dumb")])
def test_colours_are_left_out_where_they_are_not_wanted(name, value, monkeypatch):
    monkeypatch.setenv(name, value)
    assert plain(Terminal())


def test_a_terminal_gets_colours_and_a_pipe_does_not(monkeypatch):
    terminal, pipe = Terminal(), io.StringIO()
    monkeypatch.setattr("sys.stderr", terminal)
    say(bad("no"))
    monkeypatch.setattr("sys.stderr", pipe)
    say(bad("no"))
    assert ("\x1b[31mno\x1b[0m\n", "no\n") == (terminal.getvalue(), pipe.getvalue())


def test_dumb_terminals_get_no_escape_sequence(monkeypatch):
    terminal = Terminal()
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setattr("sys.stderr", terminal)
    say(bad("no"))
    assert "no\n" == terminal.getvalue()


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_every_sign_of_ours_has_a_stand_in(encoding):
    found = printable("✓ 2 × 3 – 4 − 1 · █ ✗ │ … → ≤", Terminal(encoding))
    found.encode(encoding)
    assert "?" not in found


def test_what_nobody_can_stand_in_for_is_a_question_mark_not_an_error():
    assert "a ?? b" == printable("a 日本 b", Terminal("ascii"))


def test_text_that_can_be_shown_is_left_alone():
    assert "✓ é" == printable("✓ é", Terminal("utf-8"))


@pytest.mark.parametrize(("columns", "expected"), [("20", 60), ("60", 60), ("80", 80), ("100", 100), ("500", 120), ("", 80)])
def test_screens_are_between_60_and_120_columns(columns, expected, monkeypatch):
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setattr("os.get_terminal_size", lambda _fd=0: (_ for _ in ()).throw(OSError()))
    assert expected == width()


def test_documents_go_to_stdout_and_keep_their_letters(capsys):
    document({"name": "Grüße"})
    document({"a": [1, 2]}, line=True)
    whole = capsys.readouterr().out
    assert '{\n  "name": "Grüße"\n}\n{"a": [1, 2]}\n' == whole


def test_words_go_to_stderr_unless_asked(capsys):
    say("words")
    say("listing", to_stdout=True)
    assert ("listing\n", "words\n") == capsys.readouterr()
