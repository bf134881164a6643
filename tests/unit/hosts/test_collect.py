"""Outputs are listed with their hashes, and a hostile list writes nothing."""

from __future__ import annotations

import hashlib
import json
import os
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.domain.run import Output
from dispatcher.errors import HostError, SyncFailed
from dispatcher.hosts.base import Entry, Tree
from dispatcher.hosts.collect import Collected, believe, collect, fault, manifest
from dispatcher.hosts.local import LocalHost

HASH = "0" * 64


def line(path, **more):
    return json.dumps({"path": path, "size": 1, "mode": 0o644, "sha256": HASH} | more).encode()


@pytest.fixture
def host(tmp_path):
    return LocalHost(tmp_path / "host")


@pytest.fixture
def job(tmp_path):
    folder = tmp_path / "job"
    (folder / "runs" / "deep").mkdir(parents=True)
    (folder / "runs" / "deep" / "a b.txt").write_text("one")
    (folder / "best.pt").write_bytes(b"\0two")
    return folder


def test_files_folders_and_patterns_are_recorded_once_where_they_stand(host, job):
    found = collect(host, str(job), ["runs/", "*.pt", "best.pt", "missing"], job, in_place=True).outputs
    expected = [("runs/deep/a b.txt", b"one"), ("best.pt", b"\0two")]
    assert [Output(path, len(data), hashlib.sha256(data).hexdigest()) for path, data in expected] == found


def test_no_outputs_ask_nothing(host, job):
    assert Collected([]) == collect(host, "/nowhere", [], job, in_place=True)


def test_outputs_are_brought_home_verified(host, job, tmp_path):
    home = tmp_path / "home"
    found = collect(host, str(job), ["runs", "best.pt"], home, in_place=False).outputs
    assert ["one", "\0two"] == [(home / one.path).read_text() for one in found]


def test_links_sockets_and_what_stands_outside_are_refused(host, job, tmp_path):
    (tmp_path / "secret").write_text("s")
    (job / "runs" / "link").symlink_to(tmp_path / "secret")
    (job / "out").symlink_to(tmp_path)
    os.mkfifo(job / "runs" / "pipe")
    left = manifest(host, str(job), ["runs", "../secret", "out/secret"])
    assert ["runs/deep/a b.txt"] == [one.path for one in left.entries]
    assert {"runs/link", "runs/pipe", "../secret", "out/secret"} == {path for path, _ in left.refused}


def test_only_what_changed_since_the_start_is_this_runs_whatever_time_of_writing_it_claims(host, job):
    since = (job / "best.pt").stat().st_ctime + 0.001
    unpacked = job / "unpacked.txt"
    while not unpacked.exists() or unpacked.stat().st_ctime < since:
        unpacked.write_text("one")
        os.utime(unpacked, (100, 100))
    patterns = ["**/*.txt", "*.pt", "none"]
    found = collect(host, str(job), patterns, job, in_place=True, since=since)
    assert ["unpacked.txt"] == [one.path for one in found.outputs]
    assert ("*.pt", "none") == found.missing
    assert {"unpacked.txt"} == set(manifest(host, str(job), patterns, since=since).new)


def test_what_was_sent_and_is_unchanged_is_no_output_and_is_not_fetched(host, job, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    (home / "best.pt").write_bytes(b"\0two")
    since = max(file.stat().st_ctime for file in job.rglob("*")) + 0.001
    made = job / "runs" / "new.txt"
    while not made.exists() or made.stat().st_ctime < since:
        made.write_text("made")
    found = collect(host, str(job), ["runs/new.txt", "best.pt"], home, in_place=False, since=since)
    assert ["runs/new.txt"] == [one.path for one in found.outputs]
    assert ("best.pt",) == found.missing


def test_what_seems_unchanged_there_but_is_not_here_comes_home_whatever_the_clock_there_says(host, job, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    (home / "best.pt").write_bytes(b"old!")
    found = collect(host, str(job), ["runs", "best.pt"], home, in_place=False, since=time.time() + 86400)
    assert {"runs/deep/a b.txt", "best.pt"} == {one.path for one in found.outputs}
    assert b"\0two" == (home / "best.pt").read_bytes()


def test_a_refused_output_is_told_and_not_called_missing(host, job):
    (job / "link").symlink_to(job / "best.pt")
    found = collect(host, str(job), ["link", "best.pt"], job, in_place=True)
    assert (["best.pt"], ("link",), ()) == (
        [one.path for one in found.outputs],
        tuple(p for p, _ in found.refused),
        found.missing,
    )


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "../x",
        "a/../../x",
        "a//b",
        "./a",
        "",
        "a\0b",
        "a\nb",
        "a\x1b[2J",
        "C:x",
        "a\\b",
        "~/x",
        "x" * 256,
        "é" * 128,
        "con",
        "a/NUL.txt",
        "lpt1",
        "a.",
        "a ",
        "/".join("a" * 65),
        "\udc80",
    ],
)
def test_a_path_that_could_do_harm_is_refused(path):
    assert fault(path)


@pytest.mark.parametrize("path", ["a", "a/b.txt", ".hidden", "ü/日本.pt", "a b", "x" * 255, "console", "a..b"])
def test_a_plain_path_is_taken(path):
    assert "" == fault(path)


@given(st.text(max_size=40))
def test_a_path_that_is_taken_stays_inside(path):
    if not fault(path):
        assert os.path.normpath(f"/root/{path}") == f"/root/{path}"


def test_names_that_differ_only_in_case_clash():
    left = believe([line("A/x"), line("a/y"), line("B"), line("b"), line("c"), line("c/d"), line("e/f"), line("e")])
    assert ["A/x", "B", "c", "e/f"] == [one.path for one in left.entries]


@pytest.mark.parametrize(
    "more", [{"size": -1}, {"size": "1"}, {"size": True}, {"sha256": "x" * 64}, {"sha256": None}, {"mode": "7"}]
)
def test_a_line_that_tells_nonsense_is_refused(more):
    assert () == believe([line("a", **more)]).entries


@pytest.mark.parametrize("raw", [b"{", b"[]", b"\xff", b"[" * 100_000])
def test_a_list_that_cannot_be_read_is_an_error(raw):
    with pytest.raises(SyncFailed):
        believe([raw])


def test_no_mode_makes_a_file_run_or_change_its_user():
    assert 0o644 == believe([line("a", mode=0o6755)]).entries[0].mode


def test_a_file_that_changed_on_its_way_is_not_taken(host, job, tmp_path):
    with pytest.raises(SyncFailed, match="changed"):
        host.pull([Entry("best.pt", 4, 0o644, HASH)], str(job), tmp_path / "home")
    assert [] == [one for one in (tmp_path / "home").rglob("*") if one.is_file()]


def test_nothing_is_written_through_a_link(host, job, tmp_path):
    home = tmp_path / "home"
    (tmp_path / "else").mkdir()
    home.mkdir()
    (home / "runs").symlink_to(tmp_path / "else")
    with pytest.raises(SyncFailed, match="link"):
        collect(host, str(job), ["runs"], home, in_place=False)
    assert [] == list((tmp_path / "else").iterdir())


def test_a_program_is_run_with_its_input_and_its_output_streamed(host):
    seen = []
    assert (7, b"") == (lambda done: (done.code, done.stdout))(
        host.run(["sh", "-c", "cat; exit 7"], stdin=b"x" * 300_000, on_output=seen.append)
    )
    assert b"x" * 300_000 == b"".join(seen)
    assert 137 == host.run(["sh", "-c", "kill -9 $$"]).code
    with pytest.raises(HostError):
        host.run(["no-such-program-here"])


def test_a_pushed_tree_stands_there_and_an_endless_read_waits(host, job):
    host.push(Tree(job, (Entry("best.pt", 4),)), "sent")
    chunks = host.read("sent/best.pt", 1)
    assert [b"two", b"", b""] == [next(chunks) for _ in range(3)]
    assert b"" == next(host.read("sent/none", 0))
