"""What travels, what stays, and why."""

from __future__ import annotations

import os
import socket

import pytest

from dispatcher.hosts.sync import manifest


@pytest.fixture
def folder(tmp_path):
    """A project with data, caches, keys and ignore files."""
    work = tmp_path / "work"
    for path in (
        "train.py",
        "data/a.csv",
        "data/raw/big.bin",
        ".git/config",
        "__pycache__/x.pyc",
        ".env",
        "keys/id_rsa",
        "runs/out.txt",
    ):
        file = work / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(path * 10)
    return work


def sent(folder):
    return [entry.path for entry in manifest(folder).entries]


def left(folder):
    return dict(manifest(folder).left_out)


def test_histories_caches_and_keys_stay_without_any_ignore_file(folder):
    assert ["data/a.csv", "data/raw/big.bin", "runs/out.txt", "train.py"] == sent(folder)
    assert {".git/", "__pycache__/", ".env", "keys/id_rsa"} == set(left(folder))


def test_gitignore_is_honoured_in_every_folder(folder):
    (folder / ".gitignore").write_text("runs/\n")
    (folder / "data" / ".gitignore").write_text("/raw\n")
    assert [".gitignore", "data/.gitignore", "data/a.csv", "train.py"] == sent(folder)
    assert ".gitignore" == left(folder)["runs/"]
    assert "data/.gitignore" == left(folder)["data/raw/"]


def test_dispatchignore_has_the_last_word(folder):
    (folder / ".gitignore").write_text("data/\n")
    (folder / ".dispatchignore").write_text("!data/\nruns/\n!.env\n")
    assert {"data/a.csv", ".env"} <= set(sent(folder))
    assert ".dispatchignore" == left(folder)["runs/"]


def test_ignore_files_above_the_folder_hold_up_to_the_repositorys_top(folder):
    (folder.parent / ".git").mkdir()
    (folder.parent / ".gitignore").write_text(f"/{folder.name}/runs/\n*.csv\n")
    (folder / ".git" / "config").unlink()
    (folder / ".git").rmdir()
    assert ["data/raw/big.bin", "train.py"] == sent(folder)


def test_ignore_files_above_the_repository_say_nothing(folder):
    (folder.parent / ".gitignore").write_text("*.py\n")
    assert "train.py" in sent(folder)


def test_links_out_of_the_folder_stay_and_links_within_travel(folder, tmp_path):
    (tmp_path / "outside").write_text("secret")
    (folder / "out").symlink_to(tmp_path / "outside")
    (folder / "loop").symlink_to("loop")
    (folder / "within").symlink_to("train.py")
    assert "within" in sent(folder)
    assert {"out": "a link out of the folder", "loop": "a link out of the folder"}.items() <= left(folder).items()


def test_sockets_and_pipes_stay(folder):
    os.mkfifo(folder / "pipe")
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(folder / "s"))
    server.close()
    assert not {"pipe", "s"} & set(sent(folder))


@pytest.mark.parametrize("name", ["credentials.json", "wandb_api_key.txt", "cert.p12", "kaggle.json", "private-key.txt"])
def test_what_looks_like_a_secret_is_pointed_at(folder, name):
    (folder / name).write_text("x")
    assert [name] == manifest(folder).secrets


def test_counting_stops_where_a_folder_is_data(folder):
    found = manifest(folder, most=2)
    assert not found.complete
    assert 2 == len(found.entries)


def test_the_summary_names_the_largest_first(folder):
    (folder / "weights.bin").write_bytes(b"x" * 5000)
    summary = manifest(folder).as_dict()
    assert ("weights.bin", 5000) == summary["largest"][0]
    assert summary["bytes"] == sum(entry.size for entry in manifest(folder).entries)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_an_unreadable_folder_is_told(folder):
    (folder / "data").chmod(0)
    assert ["data: Permission denied"] == manifest(folder).unreadable
    (folder / "data").chmod(0o755)


def test_data_travel_even_if_git_ignores_them_and_nothing_beside_them(tmp_path):
    for name in ("data/pets/1.jpg", "data/pets/.gitignore", "data/pets/.env", "data/other/2.jpg", "train.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("*\n" if name.endswith(".gitignore") else "x")
    (tmp_path / ".gitignore").write_text("data/\n")
    assert ["train.py"] == [one.path for one in manifest(tmp_path).entries if one.path != ".gitignore"]
    sent = {one.path for one in manifest(tmp_path, data=["data/pets"]).entries}
    assert {".gitignore", "train.py", "data/pets/.gitignore", "data/pets/1.jpg"} == sent
    assert [("data/", ".gitignore")] == manifest(tmp_path, data=["data/pets"]).as_dict()["despite"]


def test_what_dispatchignore_names_stays_even_if_it_is_data(tmp_path):
    (tmp_path / "data").mkdir()
    for name in ("data/a.bin", "data/b.csv", "data/c.tmp"):
        (tmp_path / name).write_text("x")
    (tmp_path / ".gitignore").write_text("*.csv\n")
    (tmp_path / ".dispatchignore").write_text("*.bin\n*.tmp\n")
    found = manifest(tmp_path, data=["data"])
    assert {"data/b.csv"} == {one.path for one in found.entries if one.path.startswith("data/")}
    assert {"data/a.bin": ".dispatchignore", "data/c.tmp": ".dispatchignore"} == dict(found.left_out)
    assert [("data/b.csv", ".gitignore")] == found.despite


KEYS = {
    "notes.txt": ("here: -----BEGIN OPENSSH PRIVATE KEY-----\nabc", "a private key"),
    "account.json": ('{"private_key": "-----BEGIN PRIVATE KEY-----\\nMII"}', "a private key"),
    "conf.py": ("KEY = 'AKIA" + "Q3EGRZ7LXJ5T2W4B'", "an AWS access key"),
    "login.sh": ("huggingface-cli login --token hf_" + "aB3" * 11, "a Hugging Face token"),
    "chat.py": ("client(api_key='sk-proj-" + "aB3_" * 10 + "')", "an API key"),
}


@pytest.mark.parametrize("name", KEYS)
def test_a_file_that_holds_a_key_is_told_by_its_content(tmp_path, name):
    text, what = KEYS[name]
    (tmp_path / name).write_text(text)
    assert {name: what} == manifest(tmp_path, look=True).as_dict()["secrets_hold"]
    assert [] == manifest(tmp_path).secrets


def test_what_only_speaks_of_keys_is_none(tmp_path):
    words = "AKIAIOSFODNN7EXAMPLE hf_transfer hf_hub_download sk-learn task-specific-words-are-many BEGIN PRIVATE KEY"
    (tmp_path / "readme.txt").write_text(words)
    (tmp_path / "large.txt").write_text("-----BEGIN PRIVATE KEY-----" + " " * (1 << 16))
    assert [] == manifest(tmp_path, look=True).secrets


def test_of_many_small_files_only_so_many_are_read(tmp_path):
    for number in range(600):
        (tmp_path / f"{number:03}.txt").write_text("-----BEGIN PRIVATE KEY-----")
    assert 400 == len(manifest(tmp_path, look=True).secrets)


def test_what_is_not_listed_is_counted(tmp_path):
    for number in range(60):
        (tmp_path / f"{number}.pyc").write_text("x")
    found = manifest(tmp_path)
    assert (50, 60) == (len(found.as_dict()["left_out"]), found.as_dict()["left_out_count"])
    assert 60 == len(found.as_dict(listed=None)["left_out"])
