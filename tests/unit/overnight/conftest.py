"""The machine of a night, here: the real agent, a bucket in memory."""

from __future__ import annotations

import importlib.util
import io
import json
import sys
import urllib.error
from pathlib import Path

import pytest

from dispatcher import paths
from dispatcher.hosts.base import Entry, Tree
from dispatcher.hosts.job import JobSpec
from dispatcher.overnight.bundle import job_of, pack, pack_all

LABEL = "mlrun-0123456789-1"
FOLDER = paths.templates_dir() / "overnight"


def load(name: str, file: Path):
    spec = importlib.util.spec_from_file_location(name, file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Body(io.BytesIO):
    """What a bucket answers; `cut` bytes of it are lost on the way."""

    def __init__(self, content, cut=0):
        super().__init__(content[: len(content) - cut])
        self.headers = {"Content-Length": str(len(content))}


class Memory:
    """As fetch.Cloud, without a cloud."""

    def __init__(self, told):
        self.told, self.instance, self.kept, self.refusing, self.parameters = told, "i-1", {}, 0, {}
        self.cut = 0

    def metadata(self, path):
        return {"meta-data/instance-type": "t3.micro", "meta-data/placement/availability-zone": "us-east-1a"}[path]

    def put(self, name, body, size=None, digest=""):
        if self.refusing:
            self.refusing -= 1
            raise urllib.error.URLError("the bucket is away")
        if callable(body):
            with body() as file:
                body = file.read()
            assert len(body) == size
        self.kept[name] = body

    def get(self, key):
        if key not in self.kept:
            raise urllib.error.HTTPError("u", 404, "no", {}, io.BytesIO(b"<Error><Code>NoSuchKey</Code></Error>"))
        cut, self.cut = self.cut, 0
        return Body(self.kept[key], cut)

    def secret(self, place):
        return self.parameters[place]

    def said(self):
        return json.loads(self.kept["outcome.json"])

    def log(self):
        return b"".join(self.kept[name] for name in sorted(self.kept) if name.startswith("log/"))


def run(programs, cloud) -> int:
    fetch, night, _ = programs
    fetch.unpack(cloud)
    return night.main(cloud)


def part(cloud, number):
    return json.loads(cloud.kept[f"{number}/outcome.json"])


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """fetch and night as the machine has them, their root here."""
    fetch = load("fetch", FOLDER / "fetch.py")
    monkeypatch.setitem(sys.modules, "fetch", fetch)
    night = load("night", FOLDER / "night.py")
    root = tmp_path / "runs"
    root.mkdir()
    for module in (fetch, night):
        monkeypatch.setattr(module, "ROOT", str(root))
        monkeypatch.setattr(module, "HERE", str(root / "night"))
    monkeypatch.setattr(night, "uptime", lambda: 30.0)
    monkeypatch.setattr(night, "LEAST_SECONDS", 1)
    return fetch, night, root


@pytest.fixture
def machine(programs, tmp_path):
    """A bucket with a bundle whose job is this command; what the machine is told."""

    def make(command, outputs=("out/",), **told):
        root = programs[2]
        work = tmp_path / "work"
        work.mkdir(exist_ok=True)
        (work / "seed.txt").write_text("seed")
        spec = JobSpec(LABEL, command, f"{root}/{LABEL}.work", sample_seconds=0.2)
        bundle = pack(tmp_path / "b.tar.gz", Tree(work, (Entry("seed.txt", 4),)), spec, outputs)
        usual = {"label": LABEL, "bundle": bundle.key, "sha256": bundle.sha256, "deadline": 600.0, "every": 0.1, "secrets": {}}
        usual["pause"] = 0.001
        cloud = Memory(usual | told)
        cloud.kept[bundle.key] = bundle.file.read_bytes()
        return cloud

    return make


@pytest.fixture
def queue(programs, tmp_path):
    """A bundle of several jobs in one folder, each with the seconds it may take."""

    def make(*jobs, **told):
        root = programs[2]
        work = tmp_path / "work"
        work.mkdir()
        (work / "seed.txt").write_text("seed")
        told_jobs = []
        for number, (command, seconds, secrets) in enumerate(jobs, 1):
            spec = JobSpec(f"{LABEL[:-1]}{number}", command, f"{root}/{LABEL}.work", sample_seconds=0.2)
            told_jobs.append(job_of(spec, ["out/"]) | {"seconds": seconds, "secrets": secrets, "latest": None})
        trees = {f"{LABEL}.work": Tree(work, (Entry("seed.txt", 4),))}
        bundle = pack_all(tmp_path / "b.tar.gz", trees, {"queue": told_jobs})
        usual = {"label": LABEL, "bundle": bundle.key, "sha256": bundle.sha256, "deadline": 600.0, "every": 0.1, "pause": 0.001}
        cloud = Memory(usual | {"secrets": {}} | told)
        cloud.kept[bundle.key] = bundle.file.read_bytes()
        return cloud

    return make
