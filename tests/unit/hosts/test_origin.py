import json
import subprocess
import sys
from pathlib import Path

from dispatcher.hosts.origin import keep, origin, packages


def git(folder, *words):
    subprocess.run(
        ["git", "-C", str(folder), "-c", "user.name=t", "-c", "user.email=t@t", *words], check=True, capture_output=True
    )


def test_commit_branch_and_changes_that_were_not_committed(tmp_path):
    git(tmp_path, "init", "-b", "trunk")
    (tmp_path / "train.py").write_text("old\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "one")
    (tmp_path / "train.py").write_text("new\n")
    found = origin(tmp_path, None)
    assert (40, "trunk") == (len(found["commit"]), found["branch"])
    assert "-old\n+new\n" in found["diff"]


def test_a_folder_without_a_repository_has_no_commit(tmp_path):
    assert {} == origin(tmp_path, None)


def test_packages_are_read_from_the_environments_folders():
    here = Path(sys.prefix) / "bin" / "python"
    assert [one for one in packages(here) if one.startswith("click==")]


def test_it_is_kept_beside_the_log_and_a_folder_that_is_gone_matters_not(tmp_path):
    keep(tmp_path, tmp_path, None)
    assert {} == json.loads((tmp_path / "origin.json").read_text())
    keep(tmp_path / "gone", tmp_path, None)
