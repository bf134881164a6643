"""How a mistake is shown: its place, its reason, what to do."""

from __future__ import annotations

import json

import click
import pytest
from rich.cells import cell_len

from dispatcher.cli.render.errors import clean, problem_lines, show_bug, show_error, warn
from dispatcher.errors import JobFileError, LoginNeeded, NothingFits, Problem, UsageError


def shown(problem: Problem, columns: int = 80) -> list[str]:
    return [click.unstyle(line) for line in problem_lines(problem, 1, columns)]


def marked(lines: list[str]) -> str:
    """What of the line above stands over the carets, column by column."""
    source, pointer = lines[0], lines[1]
    first, last = pointer.index("^"), pointer.rindex("^")
    found, column = "", 0
    for character in source:
        if first <= column <= last:
            found += character
        column += cell_len(character)
    return found


@pytest.mark.parametrize("columns", [60, 80, 120])
@pytest.mark.parametrize(
    ("source", "wrong"),
    [
        ("  memroy: 16GB", "memroy"),
        ("\tmemroy: 16GB", "memroy"),
        ("gpu: {日本語: 3, memry: 1}", "memry"),
        ("gpu: {日本語: 3}", "日本語"),
        ("a: [" + "x, " * 80 + "memry" + ", y" * 80 + "]", "memry"),
        ("a: [" + "x, " * 80 + "memry", "memry"),
        ("a: [" + "語" * 80 + ", memry", "memry"),
    ],
)
def test_the_carets_stand_under_what_is_wrong(source, wrong, columns):
    problem = Problem("unknown setting.", line=3, column=source.index(wrong) + 1, width=len(wrong), source=source)
    assert wrong == marked(shown(problem, columns))


@pytest.mark.parametrize("columns", [60, 80, 120])
@pytest.mark.parametrize("source", ["x: " + "y" * 500, "x: 語" * 200, "x: y", "\t" * 70 + "x: y"])
def test_no_line_of_a_problem_is_wider_than_the_screen(source, columns):
    problem = Problem("not one of " + "fp32, tf32, " * 20, "Did you mean 'fp32'?", 3, 4, 400, source)
    assert [] == [line for line in shown(problem, columns) if cell_len(line) > columns]


def test_a_short_reason_stands_beside_its_caret():
    assert ["  3 │   memroy: 16GB", "    │   ^^^^^^ unknown setting under resources. Did you mean 'memory'?"] == shown(
        Problem("unknown setting under resources.", "Did you mean 'memory'?", 3, 3, 6, "  memroy: 16GB")
    )


def test_a_problem_without_a_line_still_names_its_key():
    assert ["  budget.max_cost: nan is no amount. Write 2.00."] == shown(
        Problem("nan is no amount.", "Write 2.00.", path="budget.max_cost")
    )


def test_a_key_that_the_reason_names_is_named_once():
    assert ["  model.name is unknown."] == shown(Problem("model.name is unknown.", path="model.name"))


def test_a_column_beyond_the_line_is_no_reason_to_fall_over():
    assert "^" in shown(Problem("what is missing", line=1, column=90, source="run:"))[1]


def test_words_of_a_hostile_file_cannot_move_the_cursor():
    assert "a�[2Jb�c" == clean("a\x1b[2Jb\u202ec")
    assert "\x1b" not in "".join(shown(Problem("no\x1b]0;x\x07", line=1, column=1, source="\x1b[31mred")))


def test_an_error_is_its_message_its_fix_and_its_code(capsys):
    assert 102 == show_error(LoginNeeded("AWS does not know you.", fix="aws configure sso"))
    out, err = capsys.readouterr()
    assert ("", "error: AWS does not know you.\n  fix: aws configure sso\n") == (out, err)


def test_all_problems_are_told_with_line_numbers_in_line(capsys):
    problems = [Problem("one", line=9, column=1, source="a: 1"), Problem("two", line=10, column=1, source="b: 2")]
    assert 100 == show_error(JobFileError("train.yaml", problems))
    lines = capsys.readouterr().err.splitlines()
    assert ["train.yaml has 2 problems", "   9 │ a: 1", "     │ ^ one", "  10 │ b: 2", "     │ ^ two"] == lines


def test_an_error_as_json_has_the_code_the_kind_and_every_problem(capsys):
    show_error(JobFileError("train.yaml", [Problem("bad", "good", 1, 2, 3, "x: y", "x")]), as_json=True)
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert "" == err
    assert ("1.0", 100, "JobFileError") == (found["schema"], found["error"]["exit_code"], found["error"]["kind"])
    assert [{"message": "bad", "fix": "good", "line": 1, "column": 2, "width": 3, "source": "x: y", "path": "x"}] == found[
        "error"
    ]["problems"]


@pytest.mark.parametrize(("error", "code"), [(UsageError("x"), 2), (NothingFits("x"), 101)])
def test_the_exit_code_is_the_errors_own(error, code, capsys):
    assert code == show_error(error)
    assert "error: x\n" == capsys.readouterr().err


def test_a_bug_of_ours_is_one_line_and_a_file(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert 70 == show_bug(KeyError("secret\nsecond line"))
    err = capsys.readouterr().err
    file = next(tmp_path.glob("mlrun-bug-*.txt"))
    assert "Traceback" not in err
    assert str(file) in err
    assert "KeyError" in file.read_text()


def test_a_warning_has_its_next_command(capsys):
    warn("Nobody answers.", "mlrun ps")
    assert "  ! Nobody answers. mlrun ps\n" == capsys.readouterr().err
