"""What the Tab key offers."""

from __future__ import annotations

import click
import pytest
from click.shell_completion import ShellComplete

from dispatcher import paths
from dispatcher.cli.main import COMPLETE_VAR, cli
from dispatcher.domain.run import Run
from dispatcher.store.store import Store


@pytest.fixture(autouse=True)
def _here(home, tmp_path, monkeypatch):
    folder = tmp_path / "work"
    (folder / "jobs").mkdir(parents=True)
    for name in ("train.yaml", "tune.yml", "fit.py", "data.csv", "jobs/deep.yaml"):
        (folder / name).touch()
    monkeypatch.chdir(folder)


def offered(*words: str) -> list[str]:
    *args, incomplete = words
    return [item.value for item in ShellComplete(cli, {}, "mlrun", COMPLETE_VAR).get_completions(args, incomplete)]


def test_verbs_and_job_files_are_offered_first():
    assert {"plan", "ps", "purge", "jobs/", "train.yaml", "tune.yml", "fit.py"} <= set(offered(""))
    assert "data.csv" not in offered("")
    assert ["train.yaml"] == offered("tr")
    assert ["./train.yaml"] == offered("./tr")
    assert ["jobs/deep.yaml"] == offered("jobs/")


def test_verbs_are_offered_without_their_code(monkeypatch):
    monkeypatch.setattr(type(cli), "get_command", lambda *_all: pytest.fail("a verb was loaded"))
    assert ["plan", "ps", "purge"] == offered("p")


@pytest.mark.parametrize("verb", ["logs", "attach", "stop", "report", "fetch", "ssh"])
def test_runs_are_offered_by_name_and_id(verb):
    assert ["last"] == offered(verb, "")
    assert not paths.database().exists()
    with Store.open(paths.database()) as store:
        store.add(Run(id="abcd000000", name="resnet"))
    assert ["last", "resnet", "abcd000000"] == offered(verb, "")
    assert ["resnet"] == offered(verb, "res")


def test_places_are_offered_with_the_users_own_computers():
    paths.config_dir().mkdir(parents=True, exist_ok=True)
    (paths.config_dir() / "config.yaml").write_text("hosts: {desk: {ssh: desk}}\n")
    assert ["auto", "local", "cloud", "aws", "gcp", "ssh:desk"] == offered("train.yaml", "--where", "")
    assert ["aws"] == offered("plan", "train.yaml", "--where", "aw")
    assert isinstance(cli, click.Group)
