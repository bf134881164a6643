"""Files of other tools, given as if they were job files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dispatcher.errors import JobFileError, Problem

MARKS: dict[str, frozenset[str]] = {
    "axolotl": frozenset({
        "base_model", "micro_batch_size", "sequence_len", "adapter", "load_in_4bit", "load_in_8bit", "sample_packing", "lora_r",
        "val_set_size", "lora_target_linear", "num_epochs",
    }),
    "llama-factory": frozenset({
        "model_name_or_path", "finetuning_type", "cutoff_len", "template", "stage", "lora_target", "dataset_dir", "do_train",
        "overwrite_cache",
    }),
    "hf-trainer": frozenset({
        "model_name_or_path", "per_device_train_batch_size", "num_train_epochs", "output_dir", "per_device_eval_batch_size",
        "learning_rate", "save_strategy", "logging_steps",
    }),
    "skypilot": frozenset({
        "num_nodes", "file_mounts", "service", "resources.accelerators", "resources.use_spot", "resources.infra",
        "resources.cloud", "resources.instance_type",
    }),
    "dstack": frozenset({"type", "commands", "spot_policy", "max_price", "max_duration", "ide", "nodes", "python"}),
}  # fmt: skip
"""By format, names that its files have and ours have not."""
COMMANDS = {
    "axolotl": "axolotl train {file}",
    "llama-factory": "llamafactory-cli train {file}",
    "hf-trainer": "python train.py {file}",
}
"""How such a file is run; the others say that themselves."""
ARCHITECTURE = frozenset({"hidden_size", "num_hidden_layers", "num_attention_heads", "model_type", "architectures", "n_embd"})
ENOUGH = 2


def format_of(data: Any) -> str | None:
    """The tool that a file is of, where at least two of its names give it away."""
    if not isinstance(data, Mapping):
        return None
    resources = data.get("resources")
    inner = {f"resources.{name}" for name in resources} if isinstance(resources, Mapping) else set()
    names = {str(name) for name in data} | inner
    if len(names & ARCHITECTURE) >= ENOUGH:
        return "config"
    hits = {form: len(names & marks) for form, marks in MARKS.items()}
    best = max(hits, key=lambda form: hits[form])
    return best if hits[best] >= ENOUGH else None


def told(file: str, data: Any) -> JobFileError | None:
    """The error for a file of another tool: what it is, and the job file that reads it; None for any other file."""
    form = format_of(data)
    if form is None:
        return None
    kind = "a Hugging Face config.json, the description of a model" if form == "config" else f"a file of {form}"
    error = JobFileError(file, [Problem(f"{file} reads like {kind}, and is no job file.")])
    if form == "config":
        lines = ["run: python train.py", f"model: {{config: {file}, sequence_length: 512}}"]
    else:
        run = [f"run: {COMMANDS[form].format(file=file)}"] if form in COMMANDS else []
        lines = [*run, f"import: {{from: {form}, file: {file}}}"]
    error.fix = "\n".join(["write a job file beside it that reads it:", *(f"    {line}" for line in lines)])
    return error
