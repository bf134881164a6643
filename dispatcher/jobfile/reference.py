"""configs/reference.yaml: every key, what it is, what it may be."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Any

from dispatcher.domain.job import JobConfig
from dispatcher.domain.values import Strict
from dispatcher.jobfile.keys import Key, keys_of

WIDTH = 120
COLUMN = 44

HEAD = """\
# Every key of a job file. Only `run` is required: uncomment what you need, and delete the rest.
# Made from dispatcher/domain/job.py by scripts/reference: change it there. In an editor: mlrun schema > mlrun.schema.json
"""

EXAMPLES: dict[str, Any] = {
    "run": "python jobs/census.py",
    "name": "census",
    "setup": "pip install -r requirements.txt",
    "env": '{OMP_NUM_THREADS: "4"}',
    "secrets": "[WANDB_API_KEY]",
    "outputs": "[runs/]",
    "results": "s3://my-bucket/census",
    "checkpoint.dir": "runs/checkpoints",
    "checkpoint.every": "10m",
    "model.name": "resnet50",
    "model.config": "config.json",
    "model.algorithm": "gradient-boosting",
    "model.factory": "my_package.models:build",
    "model.input": "[3, 224, 224]",
    "dataset.path": "data/",
    "dataset.size": "1.1GB",
    "training.lora_targets": "all-linear",
    "resources.gpu": '[T4, "L4:1", 24GB+]',
    "resources.cpus": "4+",
    "resources.memory": "16GB+",
    "resources.disk": "100GB",
    "budget.max_time": "3h",
    "budget.max_cost": "2.00",
    "budget.max_hourly": "1.20",
    "budget.finish_by": '"07:30"',
    "schedule.at": '"01:00"',
    "schedule.cron": '"30 1 * * *"',
    "schedule.timezone": "Europe/Rome",
    "notify": "[desktop, NOTIFY_URL]",
    "import.file": "conf.yaml",
    "import.command": "python train.py --print-config",
    "import.map": "{training.batch_size: data.batch_size}",
}
"""A value for a key whose type does not suggest one."""

NUMBERS: dict[str, Any] = {
    "model.layers": 12, "model.hidden": 768, "model.heads": 12, "model.kv_heads": 4,
    "model.head_dim": 64, "model.ffn": 3072, "model.vocab": 50257,
    "model.experts": 8, "model.active_experts": 2, "model.sequence_length": 1024, "model.image_size": 224, "model.trees": 400,
    "model.depth": 8, "model.leaves": 31, "model.bins": 255, "model.threads": -1,
    "model.search.candidates": 20, "model.search.folds": 5,
    "model.parameters": "25.6e6", "model.flops_per_sample": "4.1e9", "model.activation_bytes_per_sample": "90e6",
    "dataset.samples": "50_000", "dataset.validation": "5_000", "dataset.columns": 64, "dataset.mean_length": 320,
    "training.batch_size": 32,
    "training.epochs": 10, "training.steps": 1000, "training.tokens": "1e9", "training.lora_rank": 16, "training.workers": 4,
}  # fmt: skip


def reference() -> str:
    """The text of configs/reference.yaml."""
    lines = [HEAD.rstrip()]
    after_section = True
    for key in keys_of(JobConfig).values():
        is_section = key.section[0] is not None
        if is_section or after_section:
            lines.append("")
        lines += _section(key) if is_section else _setting(key, key.name, active=key.required)
        after_section = is_section
    return "\n".join(lines) + "\n"


def _section(key: Key) -> list[str]:
    section, shorthand = key.section
    assert section is not None
    also = f" `{key.name}: {EXAMPLES[f'{key.name}.{shorthand}']}` is short for `{shorthand}`." if shorthand else ""
    lines = _commented(f"{key.description[:1].upper()}{key.description[1:]}.{also}")
    return [*lines, f"# {key.name}:", *_below(section, key.name)]


def _below(section: type[Strict], above: str) -> Iterator[str]:
    indent = "  " * (above.count(".") + 1)
    for key in keys_of(section).values():
        inner = key.section[0]
        if inner:
            yield f"{f'# {indent}{key.name}:':<{COLUMN}} # {key.description}"
            yield from _below(inner, f"{above}.{key.name}")
        else:
            yield from _setting(key, f"{above}.{key.name}", indent=indent)


def _setting(key: Key, path: str, *, indent: str = "", active: bool = False) -> list[str]:
    head = f"{'' if active else '# '}{indent}{key.name}: {_value(key, path)}"
    note = "; ".join(filter(None, (key.description, _allowed(key), _default(key))))
    if key.other:
        note += f" (also: {key.other})"
    first, *more = textwrap.wrap(note, WIDTH - COLUMN - 3, break_on_hyphens=False)
    return [f"{head:<{COLUMN}} # {first}", *(f"{'#' if not active else '':<{COLUMN}} #   {line}" for line in more)]


def _value(key: Key, path: str) -> str:
    if path in EXAMPLES:
        return str(EXAMPLES[path])
    if path in NUMBERS:
        return str(NUMBERS[path])
    if key.default not in (None, (), {}):
        return _yaml(key.default)
    choices = key.form.schema.get("enum")
    return _yaml(choices[0] if choices else True)


def _allowed(key: Key) -> str:
    words = key.form.words
    return (
        ""
        if words.startswith(("a list: [text", "a list: [a v", "a list: [desk", "names with"))
        or words in ("text", "a number above 0", "a whole number above 0", "1")
        else words
    )


def _default(key: Key) -> str:
    return f"default {_yaml(key.default)}" if key.default not in (None, (), {}) and not key.required else ""


def _yaml(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _commented(text: str) -> list[str]:
    return [f"# {line}" for line in textwrap.wrap(text, WIDTH - 2)]
