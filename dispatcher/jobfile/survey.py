"""What stands in a folder: its script, data, requirements and outputs."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from dispatcher.jobfile.datafile import EXACT, describe
from dispatcher.jobfile.described import Described, described
from dispatcher.jobfile.source import ScriptFacts, read_script

SCRIPTS = ("train.py", "main.py", "run.py", "finetune.py", "fit.py", "train.sh", "run.sh")
TABLES: tuple[str, ...] = (".csv", ".tsv", ".parquet", ".feather", ".arrow", ".csv.gz", ".csv.zip", ".xlsx")
ARRAYS: tuple[str, ...] = (".npz", ".npy", ".h5", ".hdf5", ".jsonl", ".json", ".bin", ".txt", ".pt", ".pkl", ".tar", ".zip")
SURELY_DATA: tuple[str, ...] = (".npz", ".npy", ".h5", ".hdf5", ".jsonl", ".libsvm", ".svmlight")
"""Arrays that are data also where no script names them; a .txt or .json may be anything."""
IMAGES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp")
WEIGHTS = (".pt", ".pth", ".ckpt", ".safetensors", ".pkl", ".joblib", ".onnx", ".cbm", ".ubj")
LEFT = ("outputs", "output", "runs", "results", "checkpoints", "models", "logs", "lightning_logs", "wandb", "mlruns")
DATA_FOLDERS = ("data", "dataset", "datasets")
INSTALLS = (
    ("uv.lock", "uv sync"),
    ("requirements.txt", "pip install -r requirements.txt"),
    ("environment.yml", "conda env update --file environment.yml"),
    ("environment.yaml", "conda env update --file environment.yaml"),
    ("pyproject.toml", "pip install -e ."),
)
FEWEST_IMAGES = 20
SMALLEST_DATA = 64
DEEPEST = 4
MOST_FILES = 50_000


@dataclass(frozen=True, slots=True)
class Data:
    """What is learned from: path below the folder, bytes, samples and columns where they are cheap to know.

    `named`: the script names it; else it only lies there.
    """

    path: str
    kind: str
    size: int
    samples: int | None = None
    columns: int | None = None
    named: bool = False


@dataclass(frozen=True, slots=True)
class Survey:
    """Everything a starter is chosen by."""

    folder: Path
    script: str | None = None
    facts: ScriptFacts = field(default_factory=ScriptFacts)
    described: Described = field(default_factory=lambda: Described(""))
    setup: str | None = None
    data: Data | None = None
    outputs: tuple[str, ...] = ()

    @property
    def data_folder(self) -> str:
        """A folder whose name says that data are in it; "" where there is none."""
        return next((name for name in DATA_FOLDERS if (self.folder / name).is_dir()), "")


def survey(folder: Path, script: str | None = None) -> Survey:
    """Look at a folder; `script` is taken instead of the one that looks like the training."""
    chosen = script or _script(folder)
    facts = read_script(folder / chosen) if chosen and chosen.endswith(".py") else ScriptFacts()
    setup = next((install for file, install in INSTALLS if (folder / file).is_file()), None)
    data = None if facts.reads else _data(folder, facts)
    return Survey(folder, chosen, facts, described(facts, folder), setup, data, _outputs(folder, facts))


def home_of(script: Path) -> tuple[Path, str]:
    """The folder a script is started in, and its name there: where one stands if it is below, else its own."""
    whole, here = script.absolute(), Path().absolute()
    folder = here if whole.is_relative_to(here) else whole.parent
    return folder, whole.relative_to(folder).as_posix()


def beside(folder: Path, chosen: str | None) -> tuple[str, ...]:
    """Other scripts of a folder that are started by themselves, as far as one sees."""
    names = sorted(file.name for file in folder.glob("[!_.]*.py") if file.is_file() and file.name.isprintable())
    able = (name for name in names if name in SCRIPTS or "__main__" in read_script(folder / name).strings)
    return tuple(name for name in (able if chosen else names) if name != chosen)


def _script(folder: Path) -> str | None:
    found = next((name for name in SCRIPTS if (folder / name).is_file()), None)
    if found:
        return found
    scripts = sorted(file.name for file in folder.glob("[!_.]*.py") if file.is_file() and file.name.isprintable())
    entries = [name for name in scripts if "__main__" in read_script(folder / name).strings]
    candidates = entries or scripts
    return candidates[0] if len(candidates) == 1 else None


def _data(folder: Path, facts: ScriptFacts) -> Data | None:
    """The file the script names, else a folder of images, else the largest table or surely an array."""
    files = list(_files(folder))
    named = [(path, size) for path, size in files if any(text.endswith(path.name) for text in facts.strings if text)]
    for suffixes, kind in ((TABLES, "table"), (ARRAYS, "array")):
        if found := _largest(named, suffixes):
            return replace(_described(folder, *found, kind), named=True)
    if images := _images(folder, files):
        return replace(images, named=any(_leads(text, images.path) for text in facts.strings))
    for suffixes, kind in ((TABLES, "table"), (SURELY_DATA, "array")):
        if found := _largest(files, suffixes):
            return _described(folder, *found, kind)
    return None


def _leads(text: str, path: str) -> bool:
    """Whether a text of the script is the folder, or one above it."""
    folder = text.removeprefix("./").rstrip("/")
    return bool(folder) and (path == folder or path.startswith(f"{folder}/"))


def _files(folder: Path) -> Iterator[tuple[Path, int]]:
    """Regular files and their bytes, without what is hidden, left by runs, or an environment; links are not followed."""
    seen = 0
    for at, folders, names in os.walk(folder):
        here = Path(at)
        folders[:] = sorted(name for name in folders if not _passed_over(here / name, folder))
        for name in sorted(names):
            seen += 1
            if seen > MOST_FILES:
                return
            try:
                facts = (here / name).lstat()
            except OSError:
                continue
            if stat.S_ISREG(facts.st_mode) and name.isprintable() and not name.startswith("."):
                yield here / name, facts.st_size


def _passed_over(inside: Path, folder: Path) -> bool:
    if (
        inside.name.startswith(".")
        or not inside.name.isprintable()
        or inside.name in (*LEFT, "__pycache__", "node_modules", "venv")
    ):
        return True
    return len(inside.relative_to(folder).parts) > DEEPEST or (inside / "pyvenv.cfg").exists()


def _largest(files: list[tuple[Path, int]], suffixes: tuple[str, ...]) -> tuple[Path, int] | None:
    fitting = [(path, size) for path, size in files if path.name.lower().endswith(suffixes) and size >= SMALLEST_DATA]
    return max(fitting, key=lambda file: file[1], default=None)


def _images(folder: Path, files: list[tuple[Path, int]]) -> Data | None:
    images = [(path, size) for path, size in files if path.suffix.lower() in IMAGES]
    if len(images) < FEWEST_IMAGES:
        return None
    common = Path(os.path.commonpath([path.parent for path, _ in images]))
    return Data(common.relative_to(folder).as_posix(), "images", sum(size for _, size in images), len(images))


def _described(folder: Path, path: Path, size: int, kind: str) -> Data:
    where = path.relative_to(folder).as_posix()
    found = describe(path) if size <= EXACT else None
    return Data(where, kind, size, found.samples if found else None, found.columns if found else None)


def _outputs(folder: Path, facts: ScriptFacts) -> tuple[str, ...]:
    """Folders that look like results, here or in the script's words; else the weights that the script names."""
    said = [text.partition("/")[0] for text in facts.strings]
    folders = [f"{name}/" for name in LEFT if (folder / name).is_dir() or name in said]
    weights = [
        text for text in facts.strings if re.fullmatch(r"[\w.-]+", text) and text.endswith(WEIGHTS) and text not in WEIGHTS
    ]
    return tuple(folders or dict.fromkeys(name for name in weights if not (folder / name).exists()))
