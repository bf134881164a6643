"""Settings that are each right and cannot hold together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import PurePosixPath

from dispatcher.domain.job import JobConfig
from dispatcher.domain.values import short
from dispatcher.jobfile.families import RELEVANT, irrelevant, possible
from dispatcher.jobfile.yaml import Path

Found = Iterator[tuple[Path, str, str]]
NEEDED = ("parameters", "flops_per_sample", "activation_bytes_per_sample")
"""What tells of a custom model."""


def contradictions(job: JobConfig) -> Found:
    """Each contradiction: the setting it is told at, the reason, and the fix."""
    for rule in RULES:
        yield from rule(job)


def absences(job: JobConfig) -> Found:
    """What is missing: not to be told where it is there, and wrong."""
    for rule in ABSENCES:
        yield from rule(job)


def _length(job: JobConfig) -> Found:
    given = [name for name in ("epochs", "steps", "tokens") if getattr(job.training, name) is not None]
    for name in given[1:]:
        yield ("training", name), f"{name} beside {given[0]}: the length is said twice.", "Keep one of the two."


def _heads(job: JobConfig) -> Found:
    model = job.model
    if model is None:
        return
    if model.heads and model.hidden and model.hidden % model.heads and not model.head_dim:
        yield ("model", "heads"), f"hidden ({model.hidden}) is not a multiple of heads ({model.heads}).", "Check both."
    if model.heads and model.kv_heads and model.heads % model.kv_heads:
        yield ("model", "kv_heads"), f"heads ({model.heads}) is not a multiple of kv_heads ({model.kv_heads}).", "Check both."
    if model.experts and model.active_experts and model.active_experts > model.experts:
        yield ("model", "active_experts"), f"more active experts than the {model.experts} there are.", "Check both."


def _family(job: JobConfig) -> Found:
    if job.model is None:
        return
    keys = [name for name in type(job.model).model_fields if getattr(job.model, name) is not None]
    family = job.model.family
    if family:
        for key in irrelevant(family, keys):
            owners = " or ".join(name for name, relevant in RELEVANT.items() if key in relevant)
            yield ("model", key), f"{key} means nothing to family {family}.", f"Delete it, or write family: {owners}."
    elif not possible(keys):
        last = next(key for index, key in enumerate(keys) if not possible(keys[: index + 1]))
        yield ("model", last), f"{last} belongs to another family than the keys above it.", "Keep the keys of one family."


def _custom(job: JobConfig) -> Found:
    model = job.model
    if model and model.name and model.config:
        yield ("model", "config"), "config beside name: two descriptions of one model.", "Keep one of the two."


def _adapters(job: JobConfig) -> Found:
    training = job.training
    if training.method == "full":
        for name in ("lora_rank", "lora_targets", "train_embeddings"):
            if getattr(training, name):
                yield ("training", name), f"{name} without adapters.", "Write method: lora or qlora, or delete it."
    elif job.task == "inference":
        yield ("training", "method"), f"method {training.method} trains adapters, and the task is inference.", "Keep one."
    if training.method == "qlora" and training.precision in ("fp8", "int8", "nf4"):
        message = "precision is the computing precision; qlora's base is nf4 anyway."
        yield ("training", "precision"), message, "Write precision: bf16, or leave it out."
    if job.model and job.model.family == "tabular" and training.method != "full":
        yield ("training", "method"), "a table's model has no adapters.", "Leave it out."


def _sharding(job: JobConfig) -> Found:
    training = job.training
    if training.sharding == "none":
        return
    if training.optimizer_in_backward:
        message = f"optimizer_in_backward with sharding {training.sharding}: gradients are reduced before weights move."
        yield ("training", "optimizer_in_backward"), message, "Keep one of the two."
    if training.offload == "parameters" and training.sharding in ("zero1", "zero2"):
        message = f"offload of parameters with {training.sharding}, which keeps them whole on each device."
        yield ("training", "offload"), message, "Write sharding: zero3, or offload: optimizer."
    if job.resources.gpu == ():
        yield ("training", "sharding"), "sharding, and resources ask for no GPU.", "Keep one of the two."


def _backward(job: JobConfig) -> Found:
    training = job.training
    if training.optimizer_in_backward and training.gradient_accumulation > 1:
        message = "gradients cannot be accumulated when weights move in the backward pass."
        yield ("training", "optimizer_in_backward"), message, "Write gradient_accumulation: 1, or leave it out."
    if job.task != "inference" and training.precision in ("int8", "nf4") and training.method == "full":
        fix = "Write method: qlora." if job.task else "Write method: qlora; or task: inference, where nothing is trained."
        yield ("training", "precision"), f"{training.precision} weights cannot all be trained.", fix


def _schedule(job: JobConfig) -> Found:
    if job.schedule and job.schedule.at and job.schedule.cron:
        yield ("schedule", "cron"), "cron beside at: once, or again and again?", "Keep one of the two."
    if job.schedule and job.schedule.timezone and not _zone(job.schedule.timezone):
        fix = "Write one like Europe/Rome, America/New_York or UTC."
        yield ("schedule", "timezone"), f"{short(job.schedule.timezone)} is no time zone.", fix


def _zone(name: str) -> bool:
    """Whether there is such a zone; where this computer has no list of them, nobody can tell."""
    from dispatcher.moments import zone_named

    try:
        zone_named(name)
    except ValueError:
        with suppress(ValueError):
            zone_named("UTC")
            return False
    return True


def _no_time(job: JobConfig) -> Found:
    if job.schedule and not job.schedule.at and not job.schedule.cron:
        yield ("schedule",), "a schedule without a time.", 'Write at: "01:00", or cron: 0 1 * * *.'


def _no_figures(job: JobConfig) -> Found:
    model = job.model
    missing = [key for key in NEEDED if getattr(model, key) is None] if model and model.family == "custom" else []
    if missing:
        yield ("model", "family"), f"a custom model needs {', '.join(missing)}.", "Give each its figure."


def _import(job: JobConfig) -> Found:
    source = job.import_
    if source and bool(source.file) == bool(source.command):
        yield ("import",), "an import reads one file or one command's output.", "Write file: or command:, one of the two."
    if source and source.map and source.from_ not in ("yaml", "json", "toml"):
        yield ("import", "map"), f"the names of {source.from_} are known; map is for yaml, json and toml.", "Leave it out."


def _place(job: JobConfig) -> Found:
    local = job.where == "local" or job.where.startswith("ssh:")
    if local and job.spot is True:
        yield ("spot",), f"spot machines are rented, and where is {job.where}.", "Keep one of the two."


def _paths(job: JobConfig) -> Found:
    named = [(("outputs", index), text) for index, text in enumerate(job.outputs)]
    if job.checkpoint:
        named.append((("checkpoint", "dir"), job.checkpoint.dir))  # type: ignore[arg-type]
    for path, text in named:
        if PurePosixPath(text).is_absolute() or ".." in PurePosixPath(text).parts or text.startswith("~"):
            yield path, f"{text!r} is outside workdir.", "Give a path below workdir: what is outside does not travel."


def _both(job: JobConfig) -> Found:
    for index, name in enumerate(job.secrets):
        if name in job.env:
            yield ("secrets", index), f"{name} is in env too, where it is no secret.", "Keep one of the two."


ABSENCES: tuple[Callable[[JobConfig], Found], ...] = (_no_time, _no_figures)
RULES: tuple[Callable[[JobConfig], Found], ...] = (
    _length, _heads, _family, _custom, _adapters, _sharding, _backward, _schedule, _import, _place, _paths, _both,
)  # fmt: skip
