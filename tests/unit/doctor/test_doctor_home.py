"""Findings on what mlrun stands on: names, folders, the database, the clock, the terminal, credentials."""

from __future__ import annotations

import os
import sqlite3
import sys

import pytest

from dispatcher import paths
from dispatcher.doctor import examine, shadow
from dispatcher.doctor.credentials import aws, credential_checks, gcp
from dispatcher.doctor.examine import checks
from dispatcher.doctor.home import (
    clock_check,
    database_check,
    encoding_check,
    folder_check,
    newest_file,
    python_check,
)
from dispatcher.doctor.torch import TorchFacts
from tests.unit.doctor.facts import laptop

OURS = "#!/usr/bin/python\nfrom dispatcher.cli.main import main\nmain()\n"
THEIRS = "#!/usr/bin/python\nfrom mlrun.__main__ import main\nmain()\n"


def command(folder, text):
    folder.mkdir(parents=True)
    (folder / "mlrun").write_text(text)
    (folder / "mlrun").chmod(0o755)
    return folder


def found(*folders, installed=None):
    return list(shadow.shadow_checks({"PATH": os.pathsep.join(str(one) for one in folders)}, installed))


def test_our_command_first_on_path_is_ok(tmp_path):
    (one,) = found(command(tmp_path / "a", OURS), command(tmp_path / "b", THEIRS))
    assert ("ok", f"`mlrun` is {tmp_path}/a/mlrun.") == (one.level, one.message)


def test_another_program_of_that_name_before_ours_is_a_warning(tmp_path):
    (one,) = found(command(tmp_path / "a", THEIRS), command(tmp_path / "b", OURS))
    assert "warning" == one.level
    assert f"put {tmp_path}/b before {tmp_path}/a on PATH" in one.fix


def test_only_the_other_program_leaves_python_m(tmp_path):
    (one,) = found(command(tmp_path / "a", THEIRS))
    assert ("warning", "python -m dispatcher") == (one.level, one.fix)


def test_no_command_on_path_is_a_note(tmp_path):
    (one,) = found(tmp_path)
    assert "note" == one.level


def test_a_file_that_may_not_be_run_is_no_command(tmp_path):
    (command(tmp_path / "a", THEIRS) / "mlrun").chmod(0o644)
    assert [] == shadow.commands(str(tmp_path / "a"))


def test_a_script_that_cannot_be_read_is_not_ours(tmp_path):
    assert not shadow.is_ours(tmp_path / "missing")


def test_the_other_products_package_in_the_same_environment_is_a_warning(tmp_path):
    _, one = found(command(tmp_path / "a", OURS), installed="1.7.2")
    assert ("warning", True) == (one.level, "mlrun 1.7.2" in one.message)


def test_the_other_product_is_found_by_its_metadata(tmp_path, monkeypatch):
    assert shadow.other_product() is None
    info = tmp_path / "mlrun-1.7.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mlrun\nVersion: 1.7.2\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    assert "1.7.2" == shadow.other_product()


@pytest.mark.parametrize(("version", "level"), [((3, 11, 7), "ok"), ((3, 14, 0), "ok"), ((3, 10, 2), "error")])
def test_mlruns_own_python(version, level):
    assert level == python_check(version).level


def test_a_folder_that_does_not_exist_yet_can_be_made(tmp_path):
    one = folder_check(tmp_path / "a/b")
    assert ("ok", []) == (one.level, list(tmp_path.iterdir()))


def test_a_file_in_the_folders_place_is_an_error(tmp_path):
    (tmp_path / "data").write_text("")
    one = folder_check(tmp_path / "data" / "deeper")
    assert ("error", True) == (one.level, "DISPATCHER_HOME" in one.fix)


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_read_only_folder_is_an_error(tmp_path):
    (tmp_path / "data").mkdir(mode=0o555)
    assert "error" == folder_check(tmp_path / "data").level


def database(file):
    connection = sqlite3.connect(file)
    connection.execute("CREATE TABLE runs (id TEXT)")
    connection.executemany("INSERT INTO runs VALUES (?)", [("x" * 500,) for _ in range(200)])
    connection.commit()
    connection.close()
    return file


def test_a_whole_database_is_ok_and_none_yet_too(tmp_path):
    assert "ok" == database_check(tmp_path / "none.sqlite3").level
    assert "The record of runs is whole." == database_check(database(tmp_path / "a b?#.sqlite3")).message


def test_looking_at_the_database_writes_nothing(tmp_path):
    file = database(tmp_path / "runs.sqlite3")
    before = file.read_bytes()
    database_check(file)
    assert [file] == list(tmp_path.iterdir())
    assert before == file.read_bytes()


def test_a_database_that_is_none_is_an_error(tmp_path):
    (tmp_path / "runs.sqlite3").write_bytes(b"this is no database at all" * 100)
    assert "error" == database_check(tmp_path / "runs.sqlite3").level


def test_a_database_with_a_damaged_page_is_an_error(tmp_path):
    file = database(tmp_path / "runs.sqlite3")
    data = bytearray(file.read_bytes())
    data[4096 * 3 : 4096 * 4] = b"\xff" * 4096
    file.write_bytes(data)
    assert "error" == database_check(file).level


def test_a_locked_database_is_a_warning(tmp_path):
    file = database(tmp_path / "runs.sqlite3")
    holder = sqlite3.connect(file, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    try:
        assert "warning" == database_check(file).level
    finally:
        holder.close()


def test_a_clock_behind_our_own_files_is_a_warning():
    assert "ok" == clock_check(now=1_800_000_000.0, newest=1_800_000_100.0).level
    one = clock_check(now=1_800_000_000.0, newest=1_800_086_400.0)
    assert ("warning", True) == (one.level, "behind by 24 h 00" in one.message)


def test_the_newest_file_of_several_folders(tmp_path):
    (tmp_path / "old").write_text("")
    os.utime(tmp_path / "old", (5.0, 5.0))
    assert (5.0, 0.0) == (newest_file((tmp_path, tmp_path / "missing")), newest_file(()))


@pytest.mark.parametrize(("encoding", "level"), [("utf-8", "ok"), ("UTF8", "ok"), ("ANSI_X3.4-1968", "note"), (None, "note")])
def test_the_terminals_encoding(encoding, level):
    assert level == encoding_check(encoding).level


def test_no_credentials_are_only_a_note(tmp_path):
    assert ["note", "note"] == [one.level for one in credential_checks({}, tmp_path)]


def files(home, **texts):
    (home / ".aws").mkdir(exist_ok=True)
    for name, text in texts.items():
        (home / ".aws" / name).write_text(text)
    return home


def test_aws_keys_in_the_environment(tmp_path):
    assert "ok" == aws({"AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "hidden"}, tmp_path).level


def test_half_of_aws_keys_is_a_warning(tmp_path):
    one = aws({"AWS_ACCESS_KEY_ID": "AKIA"}, tmp_path)
    assert ("warning", True) == (one.level, "AWS_SECRET_ACCESS_KEY" in one.fix)


def test_aws_profiles_in_both_files_and_no_secret_is_told(tmp_path):
    config = (
        "[default]\nregion = us-east-1\n[profile work]\nsso_session = corp\n[sso-session corp]\nsso_start_url = https://x\n"
    )
    home = files(tmp_path, credentials="[home]\naws_access_key_id = AKIAX\naws_secret_access_key = hidden%s\n", config=config)
    one = aws({}, home)
    assert ("ok", True) == (one.level, "home, work" in one.message)
    assert "hidden" not in one.message


def test_an_aws_profile_that_only_sets_a_region_cannot_log_in(tmp_path):
    assert "note" == aws({}, files(tmp_path, config="[default]\nregion = eu-west-1\n")).level


def test_an_aws_profile_that_does_not_exist_is_a_warning(tmp_path):
    home = files(tmp_path, credentials="[home]\naws_access_key_id = A\n")
    one = aws({"AWS_PROFILE": "wrok"}, home)
    assert ("warning", True) == (one.level, "It has: home." in one.message)


def test_a_broken_aws_file_is_as_good_as_none(tmp_path):
    assert "note" == aws({}, files(tmp_path, credentials="no section\n")).level


def test_aws_roles_of_containers(tmp_path):
    assert "ok" == aws({"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2"}, tmp_path).level


def test_google_credentials_where_gcloud_leaves_them(tmp_path):
    (tmp_path / ".config/gcloud").mkdir(parents=True)
    (tmp_path / ".config/gcloud/application_default_credentials.json").write_text(
        '{"type": "authorized_user", "secret": "hidden"}'
    )
    one = gcp({}, tmp_path)
    assert ("ok", True, False) == (one.level, "authorized_user" in one.message, "hidden" in one.message)


def test_google_credentials_that_are_named_and_missing_are_a_warning(tmp_path):
    assert "warning" == gcp({"GOOGLE_APPLICATION_CREDENTIALS": str(tmp_path / "gone.json")}, tmp_path).level


@pytest.mark.parametrize("text", ["not json", "[]"])
def test_google_credentials_that_cannot_be_read_are_a_warning(tmp_path, text):
    (tmp_path / "key.json").write_text(text)
    assert "warning" == gcp({"GOOGLE_APPLICATION_CREDENTIALS": str(tmp_path / "key.json")}, tmp_path).level


def test_the_doctor_looks_at_everything_and_every_trouble_has_a_fix(monkeypatch, tmp_path):
    monkeypatch.setattr(examine.torch, "ask", lambda _python: TorchFacts("3.12", "x86_64", "2.6.0+cpu"))
    seen = list(checks(machine=laptop(), workdir=tmp_path))
    names = {one.name for one in seen}
    assert {"processor", "memory", "disk", "mlrun", "command", "folder", "database", "clock", "terminal", "aws", "gcp"} <= names
    assert all(one.fix for one in seen if one.level in ("warning", "error"))


def test_a_look_that_breaks_is_a_finding_and_the_others_go_on(monkeypatch, tmp_path):
    def fail(_python):
        raise RuntimeError("the disk is on fire")

    monkeypatch.setattr(examine.torch, "ask", fail)
    seen = list(checks(machine=laptop(), workdir=tmp_path))
    assert ["This could not be looked at: the disk is on fire."] == [one.message for one in seen if one.level == "error"]
    assert "gcp" == seen[-1].name


def test_a_corrupt_record_of_runs_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr(examine.torch, "ask", lambda _python: TorchFacts())
    paths.data_dir().mkdir(parents=True)
    paths.database().write_bytes(b"rubbish" * 1000)
    assert "error" == next(one for one in checks(machine=laptop(), workdir=tmp_path) if one.name == "database").level
