"""What is wrong with a file is told all at once, in words for people, at its place."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dispatcher.domain.job import JobConfig
from dispatcher.errors import JobFileError
from dispatcher.jobfile.check import MOST_PROBLEMS
from dispatcher.jobfile.keys import every, spellings
from dispatcher.jobfile.load import load
from dispatcher.jobfile.refused import REFUSED

PYDANTIC = re.compile(
    r"Input should|Extra inputs|Field required|validation error|type=|String should|valid (string|integer|number|list)"
)


@pytest.fixture
def problems(tmp_path):
    def of(text):
        file = tmp_path / "train.yaml"
        file.write_text(text)
        with pytest.raises(JobFileError) as caught:
            load(file)
        return caught.value.problems

    return of


def test_the_screen_of_the_contract_comes_out_as_it_stands_there(problems):
    found = problems("run: t\n\n\nresources:\n  memroy: 16GB\n\n\nbudget:\n  max_time: 2 hrs and a bit\n")
    assert [
        (5, 3, 6, "  memroy: 16GB", "unknown setting under resources.", "Did you mean 'memory'?"),
        (9, 13, 15, "  max_time: 2 hrs and a bit", "not a duration.", "Write 2h, 90m or 1h30m."),
    ] == [(one.line, one.column, one.width, one.source, one.message, one.fix) for one in found]


def test_what_is_wrong_in_one_setting_hides_nothing_of_the_others_and_is_not_told_as_missing(problems):
    found = problems(
        'run: t\nenv: {"A=B": 1, "A B": 2}\nschedule: {at: "25:99", timezone: Mars/Phobos}\n'
        "model: {family: custom}\nnotify: [pigeon]\n"
    )
    assert [(2, 7), (2, 17), (3, 16), (3, 35), (4, 17), (5, 10)] == [(one.line, one.column) for one in found]
    assert ["'A=B'", "'A B'"] == [one.message[:5] for one in found[:2]]


def test_problems_of_every_kind_are_told_in_one_pass(problems):
    found = problems(
        "run: t --bs 3 ${training.epoch}\n"  # a name that is none
        "runn: t\n"  # a key that is none
        "name: a;b\n"  # a value
        "workdir: nowhere\n"  # a folder
        "training:\n"
        "  batch_size: 4\n"  # against the command
        "  steps: 3\n"
        "  epochs: 3\n"  # against each other
        "  compile: .nan\n"  # not YAML as we read it
        "  workers: 3\n"
        "  workers: 3\n"  # twice
        "image: x\n"  # another tool's
    )
    assert [1, 2, 3, 4, 6, 7, 9, 11, 12] == [one.line for one in found]


@pytest.mark.parametrize(
    ("line", "message", "fix"),
    [
        ("trainning: {}", "unknown setting.", "Did you mean 'training'?"),
        ("batch_size: 3", "unknown setting.", "It belongs under training."),
        ("memroy: 16GB", "unknown setting.", "Did you mean 'memory', under resources?"),
        ("Training: {}", "unknown setting.", "Did you mean 'training'?"),
        ("budget: {spot: true}", "unknown setting under budget.", "It belongs at the top, without indentation."),
        ("checkpoint: {dir: a, xyz: 3}", "unknown setting under checkpoint.", "Settings here: dir, every."),
        ("nodes: 2", "a job runs on one machine.", "Leave it out; several GPUs of one machine: resources: {gpu: A100:8}."),
        ("num_nodes: 4", "a job runs on one machine.", "Leave it out; several GPUs of one machine: resources: {gpu: A100:8}."),
        ("training: {compile: yes}", "'yes' is not true or false.", "Write true: YAML 1.2 reads yes as text."),
        ("training: {optimizer: adamx}", "'adamx' is not one of adamw", "Did you mean 'adam'?"),
        (
            'training: {batch_size: "8"}',
            "'8' is not a whole number above 0.",
            "Write the number alone, without quotes or unit.",
        ),
        ("training: {batch_size: 8.5}", "8.5 is not a whole number above 0.", ""),
        (
            "training: {batch_size: 1e12}",
            "1,000,000,000,000 is too much.",
            "The most is 1,000,000,000: check it.",
        ),
        ("training: {batch_size: }", "batch_size has no value.", "Give a whole number above 0, or delete the line."),
        ("training: {batch_size: [8]}", "batch_size cannot be a list.", "Write a whole number above 0."),
        ("training: 3", "training is a section.", "Write its settings below it, indented."),
        ("training: [a]", "training cannot be a list.", "Write a section."),
        ("budget: {max_cost: -1}", "-1 is not a number above 0.", ""),
        ("name: 3", "3 is not a name of lower-case letters", "Put it in quotes."),
        ("outputs: [a, 3]", "3 cannot stand here.", "Put it in quotes."),
        ("env: {A: true}", "a variable's value must be text.", "Put it in quotes."),
        ("env: {A: [1]}", "a variable's value is text, and this is a list.", "Write it as one text, in quotes."),
        ("env: {A=B: 1}", "'A=B' is not a variable's name.", "Use letters, digits and _."),
        ("setup: *a", "an alias, '*a'.", "Write the value out."),
        (f"setup: {'x' * 4097}", "too long, with 4,097 characters.", "At most 4,096: keep the rest in a file."),
        (f"{'k' * 5000}: 1", "a key of over 1,024 characters.", "YAML reads none so long: shorten it."),
        ("model: {family: custom, parameters: 1}", "a custom model needs flops_per_sample, ", "Give each its figure."),
        (
            "schedule: {at: 07:30, timezone: Mars/Phobos}",
            "'Mars/Phobos' is no time zone.",
            "Write one like Europe/Rome, America/New_York or UTC.",
        ),
        (
            "notify: [pigeon]",
            "'pigeon' cannot stand here.",
            "Write desktop, ntfy://my-topic, or the name of a secret: NOTIFY_URL.",
        ),
        ("env: [A]", "env cannot be a list.", "Write names with their values: {OMP_NUM_THREADS: 4}."),
        ("secrets: [a b]", "'a b' is not a variable's name.", "Use letters, digits and _."),
        ("checkpoint: {every: 3m}", "dir is missing.", "It is the folder, below workdir."),
        ("dataset: {rows: 3, samples: 3}", "the same setting as rows, which is there too.", "Keep one."),
        ("resources: {gpu: [0, T4]}", "0 (no GPU) stands beside other GPUs.", "Choose one of the two."),
        ("spot: maybe", "'maybe' is not auto, true or false.", ""),
        ("notify: [desktp]", "'desktp' cannot stand here.", "Did you mean 'desktop'?"),
        ("where: azure", "'azure' is not a place.", "Use auto, local, cloud, aws, gcp, aws/us-east-1 or ssh:desk."),
        ("<<: {a: 1}", "<<: keys are not merged from elsewhere.", "Write them out."),
        ("3: x", "unknown setting.", "All settings: mlrun schema"),
        ("import_: {}", "unknown setting.", "Did you mean 'import'?"),
        ("import: {from_: yaml, file: train.yaml, from: yaml}", "unknown setting under import.", "Did you mean 'from'?"),
    ],
)
def test_a_problem_says_what_is_wrong_and_how_to_mend_it(problems, line, message, fix):
    (found,) = problems(f"run: t\n{line}\n")
    assert (True, fix) == (found.message.startswith(message), found.fix)
    assert 2 == found.line


@pytest.mark.parametrize("name", sorted(set(REFUSED) - spellings(JobConfig).keys()))
def test_other_tools_keys_are_refused_by_name_with_what_to_do_instead(problems, name):
    (found,) = problems(f"run: t\n{name}: x\n")
    assert found.message.startswith(f"{name}: ")
    assert found.fix


STRANGE = ("{a: {b: 3}}", "[[1]]", "-1", "''", "true", "x" * 500, "1e300", "'\t'", "2026-01-01", "'2'")


@pytest.mark.parametrize("path", [path for path, _ in every(JobConfig)], ids=".".join)
def test_no_library_speaks_to_people(tmp_path, path):
    above = "run: t\n" * (path != ("run",)) + "".join(f"{'  ' * depth}{part}:\n" for depth, part in enumerate(path[:-1]))
    file = tmp_path / "train.yaml"
    for value in STRANGE:
        file.write_text(f"{above}{'  ' * (len(path) - 1)}{path[-1]}: {value}\n")
        found = tried(file)
        assert [] == [one.message for one in found if PYDANTIC.search(one.message) or len(one.message) > 400]
        assert [] == [one for one in found if not one.line and "is missing" not in one.message]


def tried(file):
    try:
        load(file)
    except JobFileError as error:
        return error.problems
    return []


def test_a_misspelt_key_is_not_also_missing(problems):
    assert ["unknown setting."] == [one.message for one in problems("runn: python t.py\n")]


def test_a_file_without_settings_says_what_to_write(problems):
    assert "Write run: python train.py" == problems("")[0].fix
    assert "Write run: python train.py" == problems("- a\n")[0].fix
    assert "Write run: python train.py" == problems("hello\n")[0].fix


def test_a_broken_file_is_not_also_incomplete(problems):
    assert 1 == len(problems("training: {batch_size: [\n"))


def test_a_flood_of_problems_is_cut(problems):
    found = problems("run: t\n" + "".join(f"k{number}: 1\n" for number in range(500)))
    assert (MOST_PROBLEMS + 1, "and 400 more.") == (len(found), found[-1].message)


def test_a_wrong_value_of_the_command_line_is_told_there_and_not_at_a_line_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_text("run: python t.py --batch-size ${training.batch_size}\ntraining: {batch_size: 8}\n")
    with pytest.raises(JobFileError) as caught:
        load(tmp_path / "job.yaml", sets={"training.batch_size": "abc"})
    (problem,) = caught.value.problems
    assert 0 == problem.line
    assert "training.batch_size='abc' on the command line" == problem.path
    assert "whole number" in problem.message
