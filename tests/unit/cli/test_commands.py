"""What may be typed, and what is said to what may not."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import click
import pytest

from dispatcher import paths
from dispatcher.cli import flags, purging, run, running
from dispatcher.cli.main import VERBS, _run, _tells_events, cli
from dispatcher.cli.run import _picked
from dispatcher.doctor.credentials import GCP_FIX
from dispatcher.domain.plan import Here
from dispatcher.errors import Cancelled, LoginNeeded, NothingFits, UsageError
from dispatcher.jobfile.load import load
from dispatcher.jobfile.settings import Settings
from tests.golden.plans import LAPTOP, full_plan

JOB = "run: python train.py --batch-size ${training.batch_size}\ntraining: {batch_size: 8}\nresources: {memory: 1GB+}\n"
NOBODY: dict[str, object] = {"yes": False, "as_json": False, "quiet": False, "detach": False, "do_setup": False}


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A job that is planned from what it states, and would fail if it were started."""
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "train.yaml"
    file.write_text(JOB)
    return file


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["paln"], "Did you mean 'mlrun plan'?"),
        (["docter"], "Did you mean 'mlrun doctor'?"),
        (["frobnicate"], "neither a command nor a job file"),
        (["plan"], "Missing argument 'JOB'"),
        (["ps", "--frob"], "No such option"),
        (["stop"], "Missing argument 'RUN'"),
        (["catalog", "frob"], "No such command"),
    ],
)
def test_a_wrong_word_is_2_and_says_what_is_right(words, said, capsys):
    assert 2 == _run(words)
    out, err = capsys.readouterr()
    assert "" == out
    assert said in err


@pytest.mark.parametrize(
    "words", [["--dry-run", "train.yaml"], ["train.yaml", "--dry-run"], ["plan", "train.yaml"], ["train.yaml", "--dryrun"]]
)
def test_the_dry_run_is_the_plan_wherever_its_flag_stands(words, job, capsys):
    assert 0 == _run(words)
    assert "NOTHING WAS STARTED" in capsys.readouterr().out


def test_options_may_stand_before_the_file(job, capsys):
    assert 0 == _run(["--set", "training.batch_size=4", "--dry-run", "--json", "train.yaml"])
    assert "--set" == json.loads(capsys.readouterr().out)["job"]["origins"]["training.batch_size"]


def test_a_file_named_like_a_verb_is_reached_by_its_path(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plan").write_text(JOB)
    assert 0 == _run(["./plan", "--dry-run"])
    assert "NOTHING WAS STARTED" in capsys.readouterr().out


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_says_in_one_line_what_it_does(verb, capsys):
    assert 0 == _run([verb, "--help"])
    assert f"Usage: mlrun {verb}" in capsys.readouterr().out


@pytest.mark.parametrize("words", [["--pick", "0"], ["--pick", "two"], ["--pick", "-1"]])
def test_a_pick_that_is_no_number_from_1_is_wrong(words, job, capsys):
    assert 2 == _run(["plan", "train.yaml", *words])
    assert "--pick" in capsys.readouterr().err


def test_a_pick_beyond_the_options_says_how_many_there_are():
    with pytest.raises(UsageError, match="--pick 5: the plan has 4 options"):
        _picked(full_plan(), 5)
    assert 3 == _picked(full_plan(), 4).choice


@pytest.mark.parametrize("word", ["training.batch_size", "=4", "", "  "])
def test_a_set_without_key_and_value_says_how_to_write_it(word):
    with pytest.raises(UsageError, match="write KEY=VALUE"):
        flags.pairs((word,))


def test_a_value_may_hold_equals_signs_and_nothing():
    assert {"env.A": "b=c", "name": ""} == flags.pairs(("env.A=b=c", " name = "))


def test_flags_stand_for_keys_and_set_has_the_last_word():
    given = {"where": "local", "spot": False, "max_cost": 2.0, "gpu": "T4,L4:1", "sets": ("budget.max_cost=1",)}
    assert {"where": "local", "spot": False, "budget.max_cost": "1", "resources.gpu": ["T4", "L4:1"]} == flags.settings_of(
        given
    )
    assert {"resources.gpu": "0"} == flags.settings_of({"gpu": "0", "sets": ()})


def test_a_set_of_what_the_command_does_not_take_is_refused(job, capsys):
    assert 0 != _run(["plan", "train.yaml", "--set", "training.optimizer=sgd"])
    assert "training.optimizer" in capsys.readouterr().err


def test_errors_are_documents_with_json(job, capsys):
    job.write_text("run: x\nmemroy: 3\n")
    assert 100 == _run(["plan", "train.yaml", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert ("1.0", 100, 2) == (found["schema"], found["error"]["exit_code"], found["error"]["problems"][0]["line"])


def test_a_plan_is_kept_and_found_again(job, tmp_path, capsys):
    assert 0 == _run(["plan", "train.yaml", "-o", "plan.json"])
    assert 0 == _run(["train.yaml", "--plan", "plan.json", "--dry-run"])
    assert json.loads((tmp_path / "plan.json").read_text())["schema"] == "1.0"


@pytest.mark.parametrize(
    "kept", ["", "{", "[]", "{}", '{"job": {}}', '{"job": {"sha256": "x"}, "candidates": [], "choice": 7}', "null"]
)
def test_a_kept_plan_that_is_none_is_said(kept, job, tmp_path, capsys):
    (tmp_path / "plan.json").write_text(kept)
    assert 2 == _run(["train.yaml", "--plan", "plan.json", "--dry-run"])
    assert "holds no plan" in capsys.readouterr().err


def test_the_plan_of_another_job_is_refused(job, capsys):
    assert 0 == _run(["plan", "train.yaml", "-o", "plan.json"])
    job.write_text(JOB + "name: another\n")
    assert 101 == _run(["train.yaml", "--plan", "plan.json", "--dry-run"])
    assert "The job has changed" in capsys.readouterr().err


def test_a_plan_that_cannot_be_kept_is_said(job, capsys):
    assert 2 == _run(["plan", "train.yaml", "-o", "no/such/folder/plan.json"])
    assert "could not be kept" in capsys.readouterr().err


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch):
    """Somebody at the terminal who answers so."""

    def answering(word: str) -> list[str]:
        asked: list[str] = []
        monkeypatch.setattr(run, "interactive", lambda: True)
        monkeypatch.setattr(click, "confirm", lambda text, **_: asked.append(text) or word == "y")
        return asked

    return answering


def test_changed_settings_ask_and_nobody_to_answer_names_the_flag(job):
    plan = replace(full_plan(), choice=0)
    with pytest.raises(UsageError, match=r"changes settings.*batch_size 32.*Nobody is there to answer") as wrong:
        running.decided(plan, load(job), dict(NOBODY), Settings())
    assert "Add --yes." == wrong.value.fix


def test_yes_answers_and_no_starts_nothing(job, answers):
    plan = replace(full_plan(), choice=0)
    assert plan is running.decided(plan, load(job), NOBODY | {"yes": True}, Settings())
    asked = answers("y")
    assert plan is running.decided(plan, load(job), dict(NOBODY), Settings())
    assert 1 == len(asked)
    answers("n")
    with pytest.raises(Cancelled, match="Nothing was started"):
        running.decided(plan, load(job), dict(NOBODY), Settings())


def test_the_job_as_written_here_asks_nothing(job, answers):
    asked = answers("n")
    plan = full_plan()
    plan = replace(plan, candidates=(replace(plan.candidates[0], changes={}),), choice=0)
    assert plan is running.decided(plan, load(job), dict(NOBODY), Settings())
    assert [] == asked


def test_a_rented_machine_asks_with_its_price_and_its_worst_case(job, answers, capsys):
    plan = full_plan()
    asked = answers("y")
    assert plan is running.decided(plan, load(job), dict(NOBODY), Settings())
    (words,) = map(click.unstyle, asked)
    assert words.startswith("Rent aws g4dn.xlarge spot in us-east-1, $0.21 per hour, likely $0.20, at worst $0.80, hard stop ")
    shown = click.unstyle(capsys.readouterr().err)
    assert "It ends by itself" in shown
    assert "after launch at the latest" in " ".join(shown.split())
    answers("n")
    with pytest.raises(Cancelled, match="Nothing was started"):
        running.decided(plan, load(job), dict(NOBODY), Settings())


def test_a_rented_machine_without_anybody_to_answer_names_the_flag(job):
    with pytest.raises(UsageError, match="Nobody is there to answer, and nothing was started") as wrong:
        running.decided(full_plan(), load(job), dict(NOBODY), Settings())
    assert "Add --yes." == wrong.value.fix


def test_left_alone_with_outputs_is_said_before(job, capsys):
    loaded = load(job, sets={"outputs": ["out.txt"]})
    running.decided(full_plan(), loaded, NOBODY | {"yes": True, "detach": True}, Settings())
    assert "Outputs wait on the machine for" in " ".join(click.unstyle(capsys.readouterr().err).split())


def test_a_cloud_without_an_account_is_priced_and_not_started(job):
    plan = full_plan()
    closed = [i for i, one in enumerate(plan.candidates) if not one.offer.usable]
    with pytest.raises(LoginNeeded, match="needs an account") as wrong:
        running.decided(plan.picked(closed[0]), load(job), NOBODY | {"yes": True}, Settings())
    assert (102, GCP_FIX) == (wrong.value.exit_code, wrong.value.fix)


def test_what_does_not_fit_is_refused_with_its_reasons(job, capsys):
    plan = replace(full_plan(), choice=None, here=Here(capable=False, reasons=("Too small.",), machine=LAPTOP))
    with pytest.raises(NothingFits, match="Nothing was started: Too small") as wrong:
        running.decided(replace(plan, candidates=plan.candidates[1:]), load(job), dict(NOBODY), Settings())
    assert "--where local" in wrong.value.fix
    assert "WHAT THE JOB NEEDS" in capsys.readouterr().err


def test_where_other_settings_make_it_fit_here_they_are_what_the_refusal_advises(job):
    plan = replace(full_plan(), choice=None, here=Here(capable=False, reasons=("Too small.",), machine=LAPTOP))
    with pytest.raises(NothingFits, match="Nothing was started: Too small") as wrong:
        running.decided(plan, load(job), dict(NOBODY), Settings())
    assert "--pick 1 runs it here with training.batch_size 32" in wrong.value.fix
    assert "--where local" not in wrong.value.fix


def test_where_local_insists_after_a_warning(job, capsys):
    plan = full_plan()
    here = replace(plan.candidates[0], changes={}, fits=False, surely=False)
    plan = replace(plan, candidates=(*plan.candidates[1:], here), choice=None)
    assert 3 == running.decided(plan, load(job, sets={"where": "local"}), dict(NOBODY), Settings()).choice
    assert "--where local insists" in capsys.readouterr().err


@pytest.mark.parametrize(("text", "seconds"), [("30d", 30 * 86400), ("12h", 43200), ("90m", 5400)])
def test_ages_are_days_or_durations(text, seconds):
    assert seconds == purging._age(text)


@pytest.mark.parametrize("text", ["", "d", "soon", "-1d", "3w"])
def test_an_age_that_is_none_names_its_flag(text):
    with pytest.raises(UsageError, match="--older-than"):
        purging._age(text)


@pytest.mark.parametrize("as_json", [True, False])
def test_purging_with_nobody_there_names_the_flag(as_json):
    with pytest.raises(UsageError, match="nobody is there to agree") as wrong:
        purging._agreed(3, yes=False, as_json=as_json)
    assert "Add --yes." == wrong.value.fix


def test_a_purge_that_is_declined_removes_nothing(answers, monkeypatch):
    asked = answers("n")
    monkeypatch.setattr(purging, "interactive", lambda: True)
    with pytest.raises(Cancelled, match="Nothing was removed"):
        purging._agreed(3, yes=False, as_json=False)
    assert ["Forget 3 finished runs, with their logs and receipts?"] == asked


def test_an_empty_record_has_nothing_to_purge(capsys):
    assert 0 == _run(["purge"])
    assert "Nothing was removed." in capsys.readouterr().err


def test_what_reads_no_more_ends_quietly(monkeypatch, capfd):
    def broken(**_: object) -> int:
        raise BrokenPipeError

    saved = os.dup(1)
    monkeypatch.setattr("dispatcher.cli.main.cli.main", broken)
    try:
        assert 0 == _run(["ps"])
    finally:
        os.dup2(saved, 1)
        os.close(saved)


@pytest.mark.parametrize("stop", [KeyboardInterrupt, click.Abort])
def test_an_interrupted_question_is_130(stop, monkeypatch, capsys):
    def interrupted(**_: object) -> int:
        raise stop

    monkeypatch.setattr("dispatcher.cli.main.cli.main", interrupted)
    assert 130 == _run(["ps"])
    assert "Cancelled." in capsys.readouterr().err


@pytest.mark.parametrize("code", ["100", "101", "102", "103", "104", "105", "106", "107", "108", "130"])
def test_the_help_of_a_run_names_every_exit_code(code, job, capsys):
    _run([str(job), "--help"])
    assert code in capsys.readouterr().out.split()


@pytest.mark.parametrize(
    ("words", "streams"),
    [
        (["train.yaml", "--json"], True), (["attach", "last", "--json"], True), (["--json", "train.yaml"], True),
        (["train.yaml", "--json", "--dry-run"], False), (["train.yaml", "--json", "--at=23:00"], False),
        (["ps", "--json"], False), (["plan", "train.yaml", "--json"], False),
    ],
)  # fmt: skip
def test_an_error_is_an_event_where_the_command_tells_events(words, streams):
    assert streams is _tells_events(words)


def test_json_after_two_dashes_is_the_jobs(job, capsys):
    assert 100 == _run([f"{job}.none.yaml", "--", "--json"])
    out, err = capsys.readouterr()
    assert ("", True) == (out, "does not exist" in err)


@pytest.mark.parametrize("words", [["init"], ["init", "--template", "list"], ["schema"], ["completion", "bash"]])
def test_verbs_that_write_text_write_json_too(words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert 0 == _run([*words, "--json"])
    assert "1.0" == json.loads(capsys.readouterr().out)["schema"]


def test_every_verb_has_json():
    def without(name: str, command: click.Command) -> list[str]:
        below = command.commands.items() if isinstance(command, click.Group) else ()
        lacking = [found for one, inner in below for found in without(f"{name} {one}", inner)]
        leads = isinstance(command, click.Group) and not command.invoke_without_command
        has = leads or command.hidden or any("--json" in one.opts for one in command.params)
        return lacking if has else [*lacking, name]

    context = click.Context(cli)
    assert [] == [found for verb in VERBS for found in without(verb, cli.get_command(context, verb))]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--max-time", "banana"], "--max-time banana: not a duration."),
        (["--max-cost", "-1"], "--max-cost -1.0: -1.0 is not a number above 0."),
        (["--where", "mars"], "--where mars: 'mars' is not a place."),
        (["--set", "foo=1"], "--set foo: 'foo' is no setting."),
        (["--set", "budget.max_time=x"], "--set budget.max_time='x': not a duration."),
        (["--gpu", "banana"], "--gpu banana: no GPU 'banana' is known."),
        (["--gpu", "T4:0"], "--gpu T4:0:"),
        (["--spot", "--where", "local"], "--spot: spot machines are rented"),
        (["--max-time", "x", "--where", "y"], "--max-time x: not a duration. Write 2h, 90m or 1h30m."),
    ],
)
@pytest.mark.parametrize("verb", [[], ["plan"]])
def test_a_wrong_value_of_a_flag_is_a_wrong_command_line(verb, words, said, job, capsys):
    assert 2 == _run([*verb, str(job), *words, *([] if verb else ["--dry-run"])])
    assert said in " ".join(capsys.readouterr().err.split())


def test_where_the_file_is_wrong_too_it_is_told_with_the_flags(job, capsys):
    job.write_text("run: t\nname: A\n")
    assert 100 == _run([str(job), "--max-time", "x"])
    said = capsys.readouterr().err
    assert ["train.yaml has 2 problems", True, True] == [
        said.splitlines()[0],
        "--max-time x: not a" in said,
        "2 │ name: A" in said,
    ]


def test_a_run_to_go_on_from_is_looked_for_before_anything_is_said_to_be_started(job, capsys):
    assert 2 == _run([str(job), "--resume", "nosuch"])
    said = capsys.readouterr().err
    assert (True, False) == ("There is no run 'nosuch'" in said, "needs" in said or "started" in said)


def test_where_nothing_is_removed_nothing_is_freed_and_a_cache_is_counted_to_the_byte(capsys):
    assert [0, 0] == [purged(capsys)["freed_bytes"] for _ in range(2)]
    paths.cache_dir().mkdir(parents=True)
    (paths.cache_dir() / "kept").write_bytes(b"x" * 4321)
    assert 4321 == purged(capsys, "--all", "--yes")["freed_bytes"]
    assert not paths.cache_dir().exists()


def purged(capsys, *words: str) -> dict[str, object]:
    assert 0 == _run(["purge", "--json", *words])
    return json.loads(capsys.readouterr().out)
