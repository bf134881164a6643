"""Ways to spoil a job file: by its text, or by its meaning with a promise that it is now invalid."""

from __future__ import annotations

import copy
import json
from random import Random

SEEDS = (
    {
        "name": "pets-resnet50", "run": "python train.py --seed 7", "setup": "pip install x", "env": {"OMP_NUM_THREADS": "4"},
        "secrets": ["KEY"], "outputs": ["runs/", "best.pt"], "checkpoint": {"dir": "runs/ckpt", "every": "10m"},
        "task": "train", "model": {"name": "resnet50", "image_size": 224},
        "dataset": {"path": "data", "samples": 50000, "size": "1.1GB"},
        "training": {"precision": "amp-fp16", "optimizer": "sgd-momentum", "batch_size": 64, "epochs": 20, "compile": False},
        "resources": {"gpu": ["T4", "L4:1", "24GB+"], "cpus": "4+", "memory": "16GB+"}, "spot": "auto", "where": "auto",
        "budget": {"max_cost": 2.5, "max_time": "3h", "finish_by": "07:30", "prefer": "cheap"},
    },
    {
        "run": "python gpt.py --layers ${model.layers} --bs ${training.batch_size}\n",
        "model": {"family": "transformer", "layers": 4, "hidden": 192, "heads": 6, "kv_heads": 2, "vocab": 256, "mlp": "plain"},
        "training": {"method": "lora", "lora_rank": 8, "lora_targets": ["q_proj"], "batch_size": 16, "steps": 300},
        "resources": {"accelerators": {"A100": 8}, "disk": 100}, "schedule": {"cron": "0 1 * * *", "timezone": "Europe/Rome"},
    },
    {
        "run": "python table.py --trees 400",
        "model": {"library": "sklearn", "trees": 400, "search": {"candidates": 4, "folds": 3}},
        "dataset": {"rows": 1000000, "columns": 64, "dtype": "float64", "in_memory": True}, "resources": {"gpu": 0},
        "import": {"from": "yaml", "file": "conf.yaml", "map": {"training.epochs": "epochs"}}, "notify": ["desktop"],
    },
)  # fmt: skip
"""Valid jobs of several kinds."""

WRONG_ANYWHERE = ([[]], {"x": {"y": 1}}, "\0", "\ud800")
WRONG_NUMBERS = (0, -1, 1e31, "three", True, [3], "3 things", float("nan"), float("inf"), "1" * 400)
WRONG_CHOICES = ("", "nothing-known", 3, True, ["a"])
NUMBERS = (
    "model.image_size", "model.layers", "model.hidden", "model.heads", "model.kv_heads", "model.vocab", "model.trees",
    "dataset.samples", "dataset.rows", "dataset.columns", "training.batch_size", "training.epochs", "training.steps",
    "training.lora_rank", "budget.max_cost", "model.search.candidates", "model.search.folds",
)  # fmt: skip
CHOICES = ("task", "training.precision", "training.optimizer", "training.method", "model.family", "model.mlp", "model.library",
           "dataset.dtype", "budget.prefer", "spot", "where", "import.from")  # fmt: skip
AMOUNTS = ("dataset.size", "budget.max_time", "checkpoint.every", "resources.cpus", "resources.memory", "resources.disk",
           "budget.finish_by", "schedule.cron")  # fmt: skip
CLASHES = (
    {"training": {"epochs": 3, "steps": 3}}, {"model": {"hidden": 100, "heads": 7}}, {"model": {"heads": 8, "kv_heads": 3}},
    {"model": {"family": "tabular", "layers": 3}}, {"schedule": {"at": "01:00", "cron": "0 1 * * *"}},
    {"training": {"method": "full", "lora_rank": 8}}, {"outputs": ["../x"]}, {"nodes": 2}, {"num_nodes": 4},
    {"run": "t --batch-size 3", "training": {"batch_size": 4}}, {"run": "t ${training.nothing}"},
    {"run": "t ${training.tokens}"},
    {"workdir": "nowhere"}, {"where": "local", "spot": True}, {"image": "x"}, {"file_mounts": {"/a": "b"}},
)  # fmt: skip


def written(data: object) -> str:
    """The data as YAML in block style; every text in double quotes, so that it stays a text."""
    return "".join(f"{json.dumps(key)}: {_flow(value)}\n" for key, value in data.items())  # type: ignore[attr-defined]


def plain(data: object) -> str:
    """The data as people write it: keys bare, sections indented."""
    lines = []
    for key, value in data.items():  # type: ignore[attr-defined]
        if isinstance(value, dict):
            lines += [f"{key}:", *(f"  {name}: {_flow(one)}" for name, one in value.items())]
        else:
            lines.append(f"{key}: {_flow(value)}")
    return "\n".join(lines) + "\n"


def _flow(value: object) -> str:
    if isinstance(value, float) and value != value:
        return ".nan"
    if value == float("inf"):
        return ".inf"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)}: {_flow(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    return json.dumps(value)


def valid(random: Random) -> str:
    """A job that must be accepted: other order, comments, empty lines."""
    data = copy.deepcopy(random.choice(SEEDS))
    keys = list(data)
    random.shuffle(keys)
    data = {key: data[key] for key in keys}
    text = random.choice((written, plain))(data)
    lines = text.splitlines()
    lines.insert(random.randrange(len(lines) + 1), random.choice(("# note", "", "   ", "# é ✓ 漢")))
    return (
        random.choice(("", "---\n", "\ufeff", "%YAML 1.2\n---\n"))
        + "\n".join(lines)
        + random.choice(("", "\n", "\n...\n", "\r\n"))
    )


def invalid(random: Random) -> str:
    """A job that must be refused."""
    data: dict = copy.deepcopy(random.choice(SEEDS))
    kind = random.choice((_typo, _wrong_number, _wrong_choice, _wrong_amount, _wrong_shape, _without_run, _clash, _syntax))
    return kind(data, random)


def mutated(random: Random) -> str:
    """A job after a few blows to its text: perhaps valid still."""
    text = random.choice((written, plain))(random.choice(SEEDS))
    for _ in range(random.choice((1, 1, 1, 2, 3, 8))):
        text = random.choice(BLOWS)(text, random)
    return text


def _sections(data: dict) -> list[dict]:
    return [data, *(one for key, one in data.items() if isinstance(one, dict) and key != "env")]


def _typo(data: dict, random: Random) -> str:
    section = random.choice([one for one in _sections(data) if one])
    key = random.choice(list(section))
    at = random.randrange(len(key) + 1)
    wrong = random.choice((key[:at] + "q" + key[at:], key.upper() + "_", key + "s_", "x" + key, key + ".", f"{key} "))
    section[wrong] = section.pop(key) if random.random() < 0.7 else section[key]
    return written(data)


def _put(data: dict, path: str, value: object) -> str:
    *above, last = path.split(".")
    for part in above:
        inner = data.get(part)
        data[part] = data = inner if isinstance(inner, dict) else {}
    data[last] = value
    return last


def _wrong_number(data: dict, random: Random) -> str:
    _put(data, random.choice(NUMBERS), random.choice(WRONG_NUMBERS))
    return written(data)


def _wrong_choice(data: dict, random: Random) -> str:
    path = random.choice(CHOICES)
    value = random.choice(WRONG_CHOICES)
    _put(data, path, "nothing" if path == "spot" and value is True else value)
    return written(data)


def _wrong_amount(data: dict, random: Random) -> str:
    _put(
        data,
        random.choice(AMOUNTS),
        random.choice(("", "lots", "-3GB", "0", -1, "3 GB and more", True, [3], float("nan"), "9" * 500)),
    )
    return written(data)


def _wrong_shape(data: dict, random: Random) -> str:
    key = random.choice([key for key in data if key != "env"])
    data[key] = random.choice(WRONG_ANYWHERE)
    return written(data)


def _without_run(data: dict, random: Random) -> str:
    data.pop("run")
    if random.random() < 0.5:
        data["run"] = random.choice(("", " ", 3, True, [], {}))
    return written(data)


def _clash(data: dict, random: Random) -> str:
    clash = copy.deepcopy(random.choice(CLASHES))
    for key, value in clash.items():
        data[key] = (
            {**(data[key] if isinstance(data.get(key), dict) and key == "dataset" else {}), **value}
            if isinstance(value, dict)
            else value
        )
    return written(data)


def _syntax(data: dict, random: Random) -> str:
    text = plain(data)
    run = json.dumps(data["run"])
    return random.choice(
        (
            text + "run: again\n",
            text + "---\nrun: x\n",
            text.replace(f"run: {run}", f"run: &a {run}"),
            text.replace(f"run: {run}", f"run: !!str {run}"),
            text + "workdir: *a\n",
            text + "notes: |\n",
            text + "\tworkdir: .\n",
            text + "model: [\n",
            text + "setup: 'x\n",
            text + 'setup: "\\q"\n',
            text + f"setup: {'[' * 40}{']' * 40}\n",
            text + "#" * 300_000,
            text + "setup: \x07\n",
            text + "? [a]\n: b\n",
            "- " + text,
            "",
            "null\n",
            "run\n",
            "[]\n",
        )
    )


def _cut(text: str, random: Random) -> str:
    return text[: random.randrange(len(text) + 1)]


def _drop(text: str, random: Random) -> str:
    at = random.randrange(len(text) + 1)
    return text[:at] + text[at + random.randint(1, 4) :]


def _insert(text: str, random: Random) -> str:
    at = random.randrange(len(text) + 1)
    return text[:at] + random.choice(PIECES) + text[at:]


def _lines(text: str, random: Random) -> str:
    lines = text.split("\n")
    one, two = random.randrange(len(lines)), random.randrange(len(lines))
    kind = random.randrange(4)
    if kind == 0:
        lines[one], lines[two] = lines[two], lines[one]
    elif kind == 1:
        lines.insert(two, lines[one])
    elif kind == 2:
        lines[one] = random.choice((" ", "  ", "\t", "    ")) + lines[one]
    else:
        lines[one] = lines[one].lstrip()
    return "\n".join(lines)


def _swap(text: str, random: Random) -> str:
    at = random.randrange(max(1, len(text) - 1))
    return text[:at] + text[at + 1 : at + 2] + text[at : at + 1] + text[at + 2 :]


def _number(text: str, random: Random) -> str:
    digits = [at for at, char in enumerate(text) if char.isdigit()]
    at = random.choice(digits or [0])
    return text[:at] + random.choice(("0", "-", "9" * 30, "e", ".", "_", "1e9", "0x1", "é", "%")) + text[at + 1 :]


PIECES = (
    "&a ", "*a", "!t ", "!!int ", ": ", "- ", "? ", "| ", "> ", "'", '"', "{", "}", "[", "]", ",", "#", "\n", "\n\n", "\t",
    "\r", "%", "@", "`", "~", "null", ".nan", ".inf", "true", "no", "010", "1e999", "\0", "\x1b", "\u2028", "\ufeff",
    "é", "漢", "🙂", "---\n",
    "...\n", "${training.batch_size}", "${a.b}", "<<: ", "x" * 200, "\\", "\\x00", " " * 40,
)  # fmt: skip
BLOWS = (_cut, _drop, _insert, _insert, _insert, _lines, _lines, _swap, _number)
