"""A job file becomes a job: values, origins, command, changes."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from dispatcher.errors import JobFileError
from dispatcher.jobfile.load import from_mapping, legal_name, load

JOB = """\
run: >
  python train.py --batch-size ${training.batch_size}
  --epochs 20 ${HOME}
outputs: [runs/]
model: resnet50
dataset: {rows: 50_000, size: 1.1GB}
training:
  batch_size: 64
budget: {max_time: 3h}
"""


@pytest.fixture
def job(tmp_path):
    def write(text=JOB, name="train.yaml"):
        file = tmp_path / name
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return file

    return write


def told(call, *args, **kwargs):
    with pytest.raises(JobFileError) as caught:
        call(*args, **kwargs)
    return [f"{one.message} {one.fix}" for one in caught.value.problems]


def test_a_file_gives_settings_a_name_a_folder_and_a_command(job, tmp_path):
    loaded = load(job())
    assert ("train", tmp_path.resolve(), "resnet50") == (loaded.name, loaded.workdir, loaded.config.model.name)
    assert "python train.py --batch-size 64 --epochs 20 ${HOME}" == loaded.command
    assert JOB.rstrip() == loaded.text.rstrip()
    assert {"training.batch_size", "training.epochs"} == loaded.bound


def test_every_value_tells_where_it_comes_from(job):
    origins = load(job(), sets={"budget.max_cost": "2"}).origins
    expected = {
        "training.batch_size": "yaml line 8",
        "training.epochs": "run",
        "model.name": "yaml line 5",
        "dataset.samples": "yaml line 6",
        "budget.max_time": "yaml line 9",
        "budget.max_cost": "--set",
        "training.method": "default",
        "where": "default",
    }
    assert expected == {setting: origins.get(setting) for setting in expected}


def test_a_value_in_run_completes_the_description(job):
    assert 20 == load(job()).config.training.epochs


@pytest.mark.parametrize(
    ("text", "setting"),
    [
        ("run: python t.py --trees 400\n", "model"),
        ("run: python t.py --samples 4\n", "dataset"),
        ("run: python t.py --hidden 64\nmodel: {family: vision}\n", "model.hidden"),
        ("run: python t.py --trees 64\nmodel: resnet50\n", "model.trees"),
        ("run: python t.py --steps 64\ntraining: {epochs: 3}\n", "training.steps"),
        ("run: python t.py --steps 64 --epochs 3\n", "training.epochs"),
    ],
)
def test_a_flag_alone_does_not_invent_a_description(job, text, setting):
    value = load(job(text)).config
    for part in setting.split("."):
        value = getattr(value, part)
    assert value is None


@pytest.mark.parametrize(
    ("text", "sets", "command"),
    [
        ("run: t --bs 64\n", {"training.batch_size": "32"}, "t --bs 32"),
        ("run: t ${training.batch_size}\ntraining: {batch_size: 64}\n", {"training.batch_size": 32}, "t 32"),
        ("run: t --bs 64\ntraining: {batch_size: 64}\n", {"training.batch_size": "32"}, "t --bs 32"),
        ("run: t a=1 training.batch_size=64\n", {"training.batch_size": "32"}, "t a=1 training.batch_size=32"),
        ("run: t ${dataset.samples}\ndataset: {samples: 9}\n", {"dataset.rows": "1e3"}, "t 1000"),
        ("run: t ${model.name}\nmodel: a\n", {"model": "it's b"}, "t 'it'\"'\"'s b'"),
    ],
)
def test_a_bound_setting_is_changed_in_the_command_too(job, text, sets, command):
    assert command == load(job(text), sets=sets).command


def test_a_setting_that_run_does_not_take_cannot_be_changed(job):
    assert ["run does not take training.workers"] == [one[:34] for one in told(load, job(), sets={"training.workers": "3"})]


def test_a_switch_has_no_value_to_change(job):
    said = told(load, job("run: t --bf16\n"), sets={"training.precision": "fp32"})
    assert said == ["run says --bf16, which has no value to change. Edit run."]


def test_limits_can_be_changed_without_the_script_knowing(job):
    config = load(job(), sets={"budget.max_time": "10m", "resources.gpu": "[T4, L4]", "where": "local", "env.A": "1"}).config
    assert (600, 2, "local", {"A": "1"}) == (config.budget.max_time, len(config.resources.gpu), config.where, config.env)


@pytest.mark.parametrize(
    ("sets", "said"),
    [
        ({"training.batchsize": "3"}, "is no setting. Did you mean 'training.batch_size'?"),
        ({"training": "3"}, "is a section"),
        ({"run": "rm"}, "stands in the file"),
        ({"training.batch_size": "-3"}, "-3 is not a whole number above 0."),
        ({"training.batch_size": "many"}, "'many' is not a whole number above 0."),
        ({"budget.max_cost": "[1"}, "bracket"),
        ({"": "3"}, "is no setting"),
    ],
)
def test_a_wrong_change_is_told(job, sets, said):
    assert [True] == [said in one for one in told(load, job(), sets=sets)]


def test_more_words_are_appended_and_quoted(job):
    assert "t --name 'a b; c'" == load(job("run: t\n"), extra_args=("--name", "a b; c")).command


@pytest.mark.parametrize(
    ("text", "extra"),
    [
        ("run: t --bs 64\n", ("--bs", "8")),
        ("run: t --bs ${training.batch_size}\ntraining: {batch_size: 64}\n", ("--batch-size=8",)),
        ("run: t\ntraining: {batch_size: 64}\n", ("--bs", "8")),
    ],
)
def test_more_words_may_not_contradict_the_plan(job, text, extra):
    assert any("8" in one for one in told(load, job(text), extra_args=extra))


def test_a_value_that_run_contradicts_is_told_at_its_line(job):
    with pytest.raises(JobFileError) as caught:
        load(job("run: t --bs 32\ntraining:\n  batch_size: 64\n"))
    (problem,) = caught.value.problems
    assert (3, 15, 2) == (problem.line, problem.column, problem.width)
    assert "training.batch_size is 64 here, and run says --bs 32." == problem.message


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("training.batchsize", "is no setting. Did you mean ${training.batch_size}?"),
        ("training.batch_size", "has no value"),
        ("model.search", "is a section"),
        ("foo.bar", "is no setting"),
    ],
)
def test_a_name_in_run_without_a_value_is_told_where_it_stands(job, name, said):
    with pytest.raises(JobFileError) as caught:
        load(job(f"name: a\nrun: |\n  cd x\n  t ${{{name}}}\n"))
    (problem,) = caught.value.problems
    assert (4, 5, len(name) + 3) == (problem.line, problem.column, problem.width)
    assert said in f"{problem.message} {problem.fix}"


def test_defaults_and_durations_fill_names_as_people_write_them(job):
    text = "run: t ${training.gradient_accumulation} ${budget.max_time} ${training.compile}\nbudget: {max_time: 3h}\n"
    assert "t 1 3h false" == load(job(text)).command


def test_a_hostile_value_reaches_the_script_as_one_word(job):
    hostile = 'a\'; echo PWNED "$HOME" `id` #'
    loaded = from_mapping({"run": "printf %s ${model.name}", "model": hostile})
    assert hostile == subprocess.run(["sh", "-c", loaded.command], capture_output=True, check=True).stdout.decode()


def test_several_lines_stay_several_lines(job):
    assert "cd x\npython t.py" == load(job("run: |\n  cd x\n  python t.py\n")).command


def test_a_folder_is_relative_to_the_file(job, tmp_path, monkeypatch):
    (tmp_path / "code").mkdir()
    monkeypatch.chdir("/")
    assert (tmp_path / "code").resolve() == load(job("run: t\nworkdir: code\n")).workdir


def test_a_folder_that_is_none_is_told(job, tmp_path):
    (tmp_path / "file").touch()
    assert "does not exist" in told(load, job("run: t\nworkdir: nowhere\n"))[0]
    assert "is not a folder" in told(load, job("run: t\nworkdir: file\n"))[0]


@pytest.mark.parametrize(("stem", "name"), [("Train_Me 2", "train-me-2"), ("...", "job"), ("a" * 60, "a" * 39), ("é-x", "e-x")])
def test_a_files_stem_is_made_a_legal_name(stem, name):
    assert name == legal_name(stem)


def test_the_hash_is_of_what_the_plan_depends_on(job):
    first = load(job()).sha256
    assert first == load(job("# a comment\n" + JOB.replace("model: resnet50\n", "") + "model: {name: resnet50}\n")).sha256
    assert first != load(job(JOB.replace("64", "65"))).sha256
    assert first != load(job(), extra_args=("--seed", "1")).sha256
    assert first != load(job(), sets={"budget.max_cost": "1"}).sha256


def test_numbers_in_the_environment_stay_as_written(job):
    assert {"CUDA": "11.10", "N": "1_000"} == load(job("run: t\nenv: {CUDA: 11.10, N: 1_000}\n")).config.env


def test_an_empty_section_is_as_if_it_were_not_there(job):
    assert load(job("run: t\ntraining:\nbudget:\n")).config == load(job("run: t\n")).config


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda folder: folder / "none.yaml", "does not exist"),
        (lambda folder: folder, "is not a file"),
        (lambda folder: Path("/dev/zero"), "at most 262,144 bytes"),
        (lambda folder: folder / "a\0b", "cannot be read"),
        (lambda folder: folder / ("x" * 300), "cannot be read"),
    ],
)
def test_a_file_that_cannot_be_read_is_told(tmp_path, make, said):
    assert said in told(load, make(tmp_path))[0]


def test_a_pipe_is_refused_instead_of_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.yaml")
    assert "is a pipe, not a file" in told(load, tmp_path / "pipe.yaml")[0]


def test_a_mapping_is_the_same_as_the_file(job):
    mapping = {
        "run": "python train.py --batch-size ${training.batch_size} --epochs 20 ${HOME}\n",
        "outputs": ("runs/",),
        "model": "resnet50",
        "dataset": {"rows": 50_000, "size": "1.1GB"},
        "training": {"batch_size": 64, "optimizer": None},
        "budget": {"max_time": "3h"},
    }
    loaded, read = from_mapping(mapping), load(job())
    assert (read.config, read.command, read.bound, read.sha256) == (loaded.config, loaded.command, loaded.bound, loaded.sha256)
    assert ("job", None, "mapping") == (loaded.name, loaded.path, loaded.origins["training.batch_size"])


def test_numbers_of_other_libraries_are_numbers():
    numpy = pytest.importorskip("numpy")
    assert 8 == from_mapping({"run": "t", "training": {"batch_size": numpy.int64(8)}}).config.training.batch_size


def test_a_wrong_mapping_is_told_by_path():
    with pytest.raises(JobFileError) as caught:
        from_mapping({"run": "t", "trainning": {}, "budget": {"max_cost": float("nan")}, "outputs": [object()]})
    assert {"trainning", "budget.max_cost", "outputs[0]"} == {one.path for one in caught.value.problems}


def test_a_mapping_without_end_is_refused():
    endless = {"run": "t"}
    endless["model"] = endless
    assert "nested deeper" in told(from_mapping, endless)[0]


def test_a_small_mapping_takes_less_than_a_millisecond():
    mapping = {"run": "python t.py --bs ${training.batch_size}", "model": "resnet50", "training": {"batch_size": 8}}
    from_mapping(mapping)

    def seconds():
        began = time.process_time()
        for _ in range(20):
            from_mapping(mapping)
        return (time.process_time() - began) / 20

    assert 0.001 > min(seconds() for _ in range(5))


def test_a_workdir_that_is_a_loop_of_links_is_named(tmp_path):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    (tmp_path / "job.yaml").write_text("run: python t.py\nworkdir: a\n")
    with pytest.raises(JobFileError) as caught:
        load(tmp_path / "job.yaml")
    (problem,) = caught.value.problems
    assert problem.message == f"workdir {tmp_path / 'a'} is a loop of links."
