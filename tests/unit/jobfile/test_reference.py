"""configs/reference.yaml is what the keys say."""

from __future__ import annotations

import json
import re

import pytest

from dispatcher.domain.job import JobConfig
from dispatcher.jobfile.keys import every
from dispatcher.jobfile.load import load
from dispatcher.jobfile.reference import reference
from dispatcher.paths import PACKAGE

FILE = PACKAGE.parent / "configs" / "reference.yaml"


def test_the_committed_file_is_what_the_script_writes():
    assert reference() == FILE.read_text()


def test_it_loads():
    assert "python jobs/census.py" == load(FILE).command


def test_every_key_is_in_it():
    for path, _ in every(JobConfig):
        assert re.search(rf"^#? *{path[-1]}: \S", reference(), re.MULTILINE), path


def _uncommented():
    """Each setting's line with those it stands under, without the # in front."""
    above: list[str] = []
    for line in reference().splitlines():
        found = re.fullmatch(r"# ( *)([a-z_]+):(?: +(\S.*?))?(?: +# .*)?", line)
        if not found:
            continue
        depth = len(found[1]) // 2
        text = f"{found[1]}{found[2]}:"
        above = [*above[:depth], text]
        if found[3]:
            yield "\n".join([*above[:depth], f"{text} {found[3]}"])


@pytest.mark.parametrize("text", list(_uncommented()), ids=lambda text: text.splitlines()[-1].strip()[:40])
def test_every_line_is_valid_when_uncommented(tmp_path, text):
    needs = {
        "  lora_": "  method: lora",
        "  train_embeddings": "  method: lora",
        "  every": "  dir: a",
        "  timezone": '  at: "01:00"',
        "  from": "  file: a",
        "  file": "  from: yaml",
        "  command": "  from: yaml",
        "  map": "  from: yaml\n  file: a",
    }
    last = text.splitlines()[-1]
    more = next((need for start, need in needs.items() if last.startswith(start)), "")
    file = tmp_path / "train.yaml"
    file.write_text(f"run: t\n{text}\n{more}\n")
    for name in ("a", "conf.yaml"):
        (tmp_path / name).write_text("data: {batch_size: 3}\n")
    shape = {"num_hidden_layers": 2, "hidden_size": 8, "num_attention_heads": 2, "vocab_size": 9}
    (tmp_path / "config.json").write_text(json.dumps(shape))
    assert "t" == load(file).config.run
