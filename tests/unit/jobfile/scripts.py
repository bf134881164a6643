"""Scripts as tests write them down, and what is read in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dispatcher.jobfile.described import described
from dispatcher.jobfile.source import facts_of

TABLE = "import pandas as pd\ntable = pd.read_csv('data/people.csv')\n"
TRAINER = "from transformers import TrainingArguments\n"
TORCH = "import torch\nfrom torch.utils.data import DataLoader\n"
VISION = "import torch, torchvision\nfrom torchvision import datasets, models, transforms\n"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder one stands in, with a table of 300 rows and four columns."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "people.csv").write_text("age,height,weight,y\n" + "30,180,75,1\n" * 300)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def said(folder: Path, text: str) -> dict[str, Any]:
    """The settings that a script says."""
    (folder / "train.py").write_text(text)
    return {key: value.value for key, value in described(facts_of(folder / "train.py"), folder).settings.items()}


def unread(folder: Path, text: str) -> dict[str, str]:
    (folder / "train.py").write_text(text)
    return described(facts_of(folder / "train.py"), folder).unread


def holds(found: dict[str, Any], **expected: Any) -> None:
    wanted = {key.replace("__", "."): value for key, value in expected.items()}
    assert wanted == {key: found.get(key) for key in wanted}
