"""The catalog as it is looked at."""

from __future__ import annotations

import json
import re

import pytest
from rich.cells import cell_len

from dispatcher.cli.main import _run


def shown(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert 0 == _run(["catalog", "show", *words])
    return capsys.readouterr().out


def test_without_words_it_says_how_much_there_is_how_old_and_from_where(capsys):
    text = shown(capsys)
    assert ["accelerators", "machines", "processors", "models", "networks"] == [
        line.split()[1] for line in text.splitlines()[:5]
    ]
    assert "WHERE THE FIGURES ARE FROM" in text


def test_a_search_lists_what_holds_all_the_words(capsys):
    lines = shown(capsys, "a100", "80").splitlines()
    names = [line.split()[0] for line in lines[1 : lines.index(next(line for line in lines if line.startswith("  ")))]]
    assert {"A100-80GB", "A100-PCIe-80GB"} <= set(names)
    assert [] == [name for name in names if "80" not in name]


def test_figures_stand_side_by_side(capsys):
    rows = {line[:20].strip(): line[20:].split() for line in shown(capsys, "--compare", "T4", "L4").splitlines()}
    assert ["16", "24"] == rows["memory GiB"]
    assert ["no", "no"] == rows["unified"]


def test_the_same_as_a_document(capsys):
    found = json.loads(shown(capsys, "T4", "--json"))
    assert "1.0" == found["schema"]
    assert "T4" in {entry["name"] for entry in found["entries"]}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["no-such-gpu"], "Nothing in the catalog is called 'no-such-gpu'"),
        (["--compare", "T4"], "--compare needs two names or more"),
        (["g5.xlarge", "--region", "us-eats-1"], "no prices of that region"),
        (["--compare", "T4", "L4", "--region", "nowhere"], "no prices of that region"),
        (["--compare", "T4", "T99"], "The catalog does not know T99"),
    ],
)
def test_what_is_not_there_is_said(words, said, capsys):
    assert 2 == _run(["catalog", "show", *words])
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("columns", ["60", "80", "120"])
@pytest.mark.parametrize("words", [["a100"], ["--compare", "T4", "L4"], ["c7i"], ["llama"], ["resnet"], ["a2-highgpu"], []])
def test_the_catalog_fits_the_screen(words, columns, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", columns)
    assert [] == [line for line in shown(capsys, *words).splitlines() if cell_len(line) > int(columns)]


def test_prices_are_told_with_their_region_date_and_source(capsys):
    text = shown(capsys, "g5.xlarge")
    row = next(line for line in text.splitlines() if line.startswith("g5.xlarge"))
    assert 2 == len(re.findall(r"\$[\d.]+ [a-z]+-[a-z]+-\d", row))
    assert re.search(r"prices of 20\d\d-\d\d-\d\d: ", text)


def test_a_region_that_is_nearly_known_is_answered_with_it(capsys):
    assert 2 == _run(["catalog", "show", "g5.xlarge", "--region", "us-eats-1"])
    assert "us-east-1" in capsys.readouterr().err
