"""Files that a job names and that are not there: said before the run, with what was probably meant."""

from __future__ import annotations

import pytest

from dispatcher.errors import JobFileError
from dispatcher.jobfile.load import legal_name, load
from dispatcher.jobfile.secrets import look_up


@pytest.fixture
def notes(tmp_path):
    def of(text):
        (tmp_path / "job.yaml").write_text(text)
        return load(tmp_path / "job.yaml").notes

    return of


def test_a_missing_script_is_said_with_its_likely_name(tmp_path, notes):
    (tmp_path / "train.py").write_text("")
    assert any("Did you mean train.py?" in note for note in notes("run: python tran.py --epochs 3\n"))


def test_a_script_that_is_there_or_that_setup_may_bring_is_not_missed(tmp_path, notes):
    (tmp_path / "train.py").write_text("")
    assert () == notes("run: python train.py\n")
    assert () == notes("setup: git clone somewhere .\nrun: python fetched.py\n")
    assert () == notes('run: python "$SCRIPT".py\n')


def test_missing_data_are_said_with_their_likely_path(tmp_path, notes):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "pets").mkdir()
    found = notes("run: 'true'\ndataset: {path: dta/pets}\n")
    assert any("Did you mean data/pets?" in note for note in found)
    assert () == notes("run: 'true'\ndataset: {path: data/pets, samples: 3, size: 1GB}\n")
    assert () == notes("run: 'true'\ndataset: {path: 's3://bucket/pets'}\n")


def test_a_missing_secret_is_told_at_its_place(tmp_path):
    (tmp_path / "job.yaml").write_text("run: 'true'\nsecrets:\n  - HOME\n  - NOT_A_THING\n")
    with pytest.raises(JobFileError) as caught:
        look_up(load(tmp_path / "job.yaml"))
    (problem,) = caught.value.problems
    assert (4, 5, "job.yaml") == (problem.line, problem.column, caught.value.file)
    assert "export NOT_A_THING" in problem.fix


@pytest.mark.parametrize(
    ("stem", "name"), [("ünï", "uni"), ("Größe 2", "grosse-2"), ("日本", "job"), ("a__b", "a-b"), ("Åsa_Ø", "asa-o")]
)
def test_a_name_keeps_its_letters_without_their_accents(stem, name):
    assert name == legal_name(stem)
