"""The job file's keys: the user's YAML, validated."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from dispatcher.domain.values import Bytes, Cores, DiskGb, Form, Gpus, RamGib, Seconds, Shorthand, Span, Strict, short, whole

Task = Literal["train", "finetune", "inference"]
Family = Literal["transformer", "vision", "diffusion", "detection", "tabular", "torch", "custom"]
Precision = Literal["fp32", "tf32", "amp", "amp-bf16", "amp-fp16", "bf16", "fp16", "fp8", "int8", "nf4"]
Method = Literal["full", "lora", "qlora"]
Optimizer = Literal[
    "adamw", "adam", "adamw-8bit", "paged-adamw-8bit", "paged-adamw", "adafactor", "lion", "lion-8bit", "sgd",
    "sgd-momentum", "rmsprop", "adagrad", "lamb", "muon",
]  # fmt: skip
Sharding = Literal["none", "zero1", "zero2", "zero3", "fsdp"]

Positive = Annotated[int, BeforeValidator(whole), Field(gt=0, le=10**18)]
Size = Annotated[int, BeforeValidator(whole), Field(gt=0, le=10**9)]
Amount = Annotated[float, Field(gt=0, le=1e30)]
Usd = Annotated[float, Field(gt=0, le=1e9)]

NAME = r"^[a-z0-9][a-z0-9-]{0,38}$"
_PLACE = r"^(?:auto|local|cloud|(?:aws|gcp)(?:/[a-z][a-z0-9-]*)?|ssh:[A-Za-z0-9_][A-Za-z0-9_.-]*)$"
_CLOCK, _DATE, _ZONE = "[0-2]?[0-9]:[0-5][0-9]", "[0-9]{4}-[0-9]{2}-[0-9]{2}", "(?:Z|[+-][0-9]{2}:?[0-9]{2})?"
_MOMENT = rf"^\s*(?:{_CLOCK}|{_DATE}[T ][0-9]{{2}}:[0-9]{{2}}(?::[0-9]{{2}})?{_ZONE})\s*$"
_VARIABLE = r"^[A-Za-z_][A-Za-z0-9_]*$"
_DESTINATION = r"^(?:desktop|[A-Z][A-Z0-9_]*|[a-z][a-z0-9+.-]*://\S+)$"
_CRON = r"^ *(?:[0-9A-Za-z*/,-]+ +){4}[0-9A-Za-z*/,-]+ *$"
_TIMEZONE = r"^[A-Za-z][A-Za-z0-9_+-]*(?:/[A-Za-z0-9_+-]+)*$"
_SHAPE = {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "array"}, {"type": "object"}]}


def _place(value: str) -> str:
    if not re.fullmatch(_PLACE[1:-1], value):
        raise ValueError(f"{short(value)} is not a place. Use auto, local, cloud, aws, gcp, aws/us-east-1 or ssh:desk")
    return value


def _moment(value: str) -> str:
    """A time of day, or a date and time; both as they would be read later."""
    text = value.strip()
    try:
        readable = bool(re.fullmatch(_MOMENT[1:-1], text))
        datetime.fromisoformat(text if len(text) > 5 else f"2000-01-01T{text.rjust(5, '0')}")
    except ValueError:
        readable = False
    if not readable:
        raise ValueError(f"{short(value)} is not a time. Write 07:30, or 2026-11-22 07:30")
    return value


def _bucket(value: str) -> str:
    if value != "auto" and not re.fullmatch(r"(?:s3|gs)://[a-z0-9][^\s]*", value):
        raise ValueError(f"{short(value)} is not a bucket. Write s3://my-bucket/folder or gs://my-bucket/folder, or auto")
    return value


def _filled(value: str) -> str:
    if not value.strip():
        raise ValueError("empty. Give a value, or leave the line out")
    return value


def _tupled(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _listed(value: Any) -> Any:
    """One text is a list of one."""
    return (value,) if isinstance(value, str) else _tupled(value)


def _value(value: Any) -> Any:
    """Environment values are text: numbers are taken as written, booleans are not guessed."""
    if isinstance(value, (list, dict)):
        kind = "a list" if isinstance(value, list) else "a section"
        raise ValueError(f"a variable's value is text, and this is {kind}. Write it as one text, in quotes")
    if isinstance(value, bool) or value is None:
        raise ValueError("a variable's value must be text. Put it in quotes")
    text = str(value) if isinstance(value, (int, float)) else value
    if "\0" in text:
        raise ValueError("a variable's value holds a NUL byte. Leave it out")
    return text


def _variable(name: str) -> str:
    if not re.fullmatch(_VARIABLE[1:-1], name):
        raise ValueError(f"{short(name)} is not a variable's name. Use letters, digits and _")
    return name


def _destination(value: str) -> str:
    if re.fullmatch(_DESTINATION[1:-1], value):
        return value
    import difflib

    near = difflib.get_close_matches(value[:80].lower(), ["desktop"], 1, 0.6)
    fix = "Did you mean 'desktop'?" if near else "Write desktop, ntfy://my-topic, or the name of a secret: NOTIFY_URL."
    raise ValueError(f"{short(value)} cannot stand here. {fix}")


def _named(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


def _pathed(value: Any) -> Any:
    return {"path": value} if isinstance(value, str) else value


Text = Annotated[str, Field(max_length=4096), AfterValidator(_filled)]
Texts = Annotated[tuple[Text, ...], BeforeValidator(_listed)]
Moment = Annotated[
    str, AfterValidator(_moment), Form("a time: 07:30, or 2026-11-22 07:30", {"type": "string", "pattern": _MOMENT})
]
Variables = Annotated[
    tuple[Annotated[str, AfterValidator(_variable), Form("a variable's name", {"type": "string", "pattern": _VARIABLE})], ...],
    BeforeValidator(_listed),
]
Destinations = Annotated[
    tuple[
        Annotated[
            Text,
            AfterValidator(_destination),
            Form(
                "desktop, an address like ntfy://my-topic, or the name of a secret", {"type": "string", "pattern": _DESTINATION}
            ),
        ],
        ...,
    ],
    BeforeValidator(_listed),
]
Environment = Annotated[
    dict[Annotated[str, AfterValidator(_variable)], Annotated[str, BeforeValidator(_value)]],
    Form(
        "names with their values: {OMP_NUM_THREADS: 4}",
        {"type": "object", "propertyNames": {"pattern": _VARIABLE}, "additionalProperties": {"type": ["string", "number"]}},
    ),
]
Place = Annotated[
    str,
    AfterValidator(_place),
    Form("auto, local, cloud, aws, gcp, aws/us-east-1 or ssh:desk", {"type": "string", "pattern": _PLACE, "default": "auto"}),
]
Cron = Annotated[
    str, Field(pattern=_CRON), Form("five fields, as cron reads them: 30 1 * * *", {"type": "string", "pattern": _CRON})
]
Zone = Annotated[str, Field(pattern=_TIMEZONE), Form("a zone: Europe/Rome", {"type": "string", "pattern": _TIMEZONE})]
Name = Annotated[
    str,
    Field(pattern=NAME),
    Form("a name of lower-case letters, digits and hyphens, at most 39 of them", {"type": "string", "pattern": NAME}),
]
Bucket = Annotated[
    str,
    AfterValidator(_bucket),
    Form("s3://…, gs://…, or auto", {"type": "string", "pattern": r"^(?:auto|(?:s3|gs)://[a-z0-9]\S*)$"}),
]


class Search(Strict):
    """A grid search or cross-validation: `candidates` × `folds` fits, `jobs` at a time."""

    candidates: Size = Field(1, description="combinations of settings that are tried")
    folds: Size = Field(1, description="parts of the data, each left out once")
    jobs: Annotated[int, BeforeValidator(whole), Field(ge=-1, le=10**6)] = Field(
        1, description="fits at a time; -1 for all cores"
    )


class Model(Strict):
    """What is trained. The family follows from a known name, else it is named; unset keys are inferred or asked for."""

    family: Family | None = Field(None, description="the kind of model; follows from a known name")
    name: Text | None = Field(None, description="a known model: resnet50, llama-3.1-8b, distilbert-base-uncased")
    config: Text | None = Field(None, description="a Hugging Face config.json")
    kind: Literal["decoder", "encoder", "encoder-decoder"] | None = Field(None, description="the transformer's halves")
    layers: Size | None = Field(None, description="transformer layers")
    hidden: Size | None = Field(None, description="width of the residual stream")
    heads: Size | None = Field(None, description="attention heads per layer")
    kv_heads: Size | None = Field(None, description="heads of keys and values, where queries share them")
    head_dim: Size | None = Field(None, description="width of a head, where it is not hidden / heads")
    ffn: Size | None = Field(None, description="width of the feed-forward layer")
    vocab: Size | None = Field(None, description="tokens in the vocabulary")
    experts: Size | None = Field(None, description="experts per layer in a mixture of experts")
    active_experts: Size | None = Field(None, description="experts that each token passes through")
    mlp: Literal["gated", "plain"] | None = Field(
        None, description="gated as in Llama, plain as in GPT-2; inferred if not said"
    )
    tied_embeddings: bool | None = Field(None, description="whether input and output embeddings share weights")
    sequence_length: Size | None = Field(None, description="tokens per sample, at most")
    image_size: Size | None = Field(None, description="side of the square image, pixels")
    library: Literal["sklearn", "xgboost", "lightgbm", "catboost", "cuml"] | None = Field(
        None, description="what fits the table"
    )
    algorithm: Text | None = Field(None, description="random-forest, gradient-boosting, logistic-regression, k-means …")
    trees: Size | None = Field(None, description="trees, or boosting rounds")
    depth: Size | None = Field(None, description="deepest a tree may grow")
    leaves: Size | None = Field(None, description="most leaves per tree")
    bins: Size | None = Field(None, description="histogram bins per column")
    threads: Annotated[int, BeforeValidator(whole), Field(ge=-1, le=10**6)] | None = Field(
        None, description="cores that one fit uses, as n_jobs says; -1 for all"
    )
    search: Search | None = Field(None, description="a grid search or cross-validation")
    factory: Text | None = Field(None, description="pkg.mod:build, a function that returns the torch module")
    input: Annotated[Any, Form("a shape: [3, 224, 224]", _SHAPE)] = Field(
        None, description="shape of one sample, for `factory`"
    )
    parameters: Amount | None = Field(None, description="parameters of a custom model")
    flops_per_sample: Amount | None = Field(None, description="FLOPs of one sample's forward pass in a custom model")
    activation_bytes_per_sample: Amount | None = Field(None, description="bytes kept per sample for the backward pass")


class Dataset(Strict):
    """What it is trained on; size and samples are read where they can be."""

    path: Text | None = Field(None, description="a file or folder, which travels even if git ignores it; also s3://, hf://")
    samples: Positive | None = Field(None, alias="rows", description="samples, or rows of a table")
    validation: Positive | None = Field(None, description="samples that are only looked at, after every epoch")
    columns: Size | None = Field(None, description="columns of a table")
    size: Bytes | None = Field(None, description="bytes on disk")
    dtype: Literal["float64", "float32", "float16", "int64", "int32", "int8", "uint8"] | None = Field(
        None, description="type of the table's values in memory"
    )
    in_memory: bool | None = Field(None, description="whether the library needs the whole table in RAM")
    mean_length: Amount | None = Field(None, description="mean tokens per sample where data are ragged")


class Training(Strict):
    """How it is trained. `batch_size` is per device."""

    method: Method = Field("full", description="all weights, or adapters; qlora has a 4-bit base")
    precision: Precision | None = Field(
        None, description="amp-…: fp32 weights with autocast; bf16, fp16: pure; amp: what the device has"
    )
    optimizer: Optimizer | None = Field(None, description="decides the bytes kept per parameter")
    batch_size: Size | None = Field(None, description="samples per device in one pass")
    gradient_accumulation: Size = Field(1, description="passes gathered before the weights move")
    gradient_checkpointing: Literal["selective"] | bool = Field(
        default=False, description="recompute activations: less memory, more time"
    )
    epochs: Annotated[float, Field(gt=0, le=1e9)] | None = Field(None, description="passes over the data; or steps, or tokens")
    steps: Positive | None = Field(None, description="optimizer steps, instead of epochs")
    tokens: Positive | None = Field(None, description="tokens seen in all, instead of epochs")
    sharding: Sharding = Field("none", description="what is split over devices")
    lora_rank: Size | None = Field(None, description="rank of the adapters")
    lora_targets: (
        Annotated[
            tuple[Text, ...],
            BeforeValidator(_tupled),
            Form("a list: [q_proj, v_proj]", {"type": "array", "items": {"type": "string", "minLength": 1}, "minItems": 1}),
        ]
        | Literal["all-linear"]
        | None
    ) = Field(None, description="layers that get adapters")
    attention: Literal["flash", "sdpa", "eager"] | None = Field(None, description="how attention is computed")
    compile: bool = Field(default=False, description="torch.compile")
    chunked_loss: bool = Field(default=False, description="logits are never whole in memory")
    optimizer_in_backward: bool = Field(
        default=False, description="weights move during the backward pass: gradients are not kept"
    )
    offload: Literal["none", "optimizer", "parameters"] = Field("none", description="what waits in RAM instead of GPU memory")
    train_embeddings: bool = Field(default=False, description="embeddings are trained beside the adapters")
    workers: Annotated[int, BeforeValidator(whole), Field(ge=0, le=4096)] | None = Field(
        None, description="data loader processes"
    )


class Resources(Strict):
    """Limits on rented and owned machines, not on this one."""

    gpu: Gpus | None = Field(None, alias="accelerators", description="which kinds, by nameplate, and how many")
    cpus: Cores | None = Field(None, description="virtual CPUs")
    memory: RamGib | None = Field(None, description="RAM, as it is sold")
    disk: DiskGb | None = Field(None, description="disk, decimal")


class Budget(Strict):
    """What it may cost and take."""

    max_cost: Usd | None = Field(None, description="USD for the whole job")
    max_time: Seconds | None = Field(None, description="from the machine's creation to its end")
    max_hourly: Usd | None = Field(None, description="USD per hour")
    finish_by: Moment | None = Field(None, description="when it must be done")
    prefer: Literal["cheap", "fast"] = Field("cheap", description="cheapest, or fastest within the budget")


class Checkpoint(Strict):
    """Where the job saves its state, and how often."""

    dir: Text = Field(description="the folder, below workdir")
    every: Seconds | None = Field(None, description="how often the job saves")


class Schedule(Strict):
    """When `mlrun schedule add` starts it; a plain `mlrun JOB` runs now."""

    at: Moment | None = Field(None, description="once")
    cron: Cron | None = Field(None, description="again and again")
    timezone: Zone | None = Field(None, description="this computer's if not said")


class Import(Strict):
    """Values read from a file that the job has already."""

    from_: Literal["axolotl", "llama-factory", "hf-trainer", "skypilot", "dstack", "yaml", "json", "toml"] = Field(
        alias="from", description="the file's format"
    )
    file: Text | None = Field(None, description="the file, below workdir")
    command: Text | None = Field(None, description="instead of a file: a command that prints the configuration")
    map: dict[str, Text] = Field(default_factory=dict, description="our setting: theirs, for yaml, json and toml")


class JobConfig(Strict):
    """One job. Only `run` is required; everything else describes, limits or hints."""

    run: Annotated[str, Field(max_length=65536), AfterValidator(_filled)] = Field(
        description="the command, as a shell reads it"
    )
    name: Name | None = Field(None, description="the file's stem if not said")
    workdir: Text = Field(".", description="what travels; .gitignore and .dispatchignore are honoured, the latter for data too")
    setup: Text | None = Field(None, description="what must be installed first; here only with --setup")
    env: Environment = Field(default_factory=dict, alias="envs", description="environment variables")
    secrets: Variables = Field((), description="names only; values from the environment, .env or the keyring")
    outputs: Texts = Field((), description="files and folders that are brought home and verified")
    results: Bucket | None = Field(
        None, description="what it leaves is also kept there, as it comes; auto: the bucket of setup's"
    )
    checkpoint: Checkpoint | None = Field(None, description="where the job saves its state, and how often")
    task: Task | None = Field(None, description="what is done with the model")
    model: Annotated[Model, BeforeValidator(_named), Shorthand("name")] | None = Field(
        None, description="what is trained; a name, or a section"
    )
    dataset: Annotated[Dataset, BeforeValidator(_pathed), Shorthand("path")] | None = Field(
        None, description="the data; a path, or a section"
    )
    training: Training = Field(default_factory=Training, description="how it is trained")
    resources: Resources = Field(
        default_factory=Resources,
        description="limits on rented and owned machines, not on this one; without a model, what the job needs anywhere",
    )
    budget: Budget = Field(default_factory=Budget, description="what it may cost and take")
    where: Place = Field("auto", description="where it may run")
    spot: Literal["auto"] | bool = Field("auto", description="auto: only where a restart loses little")
    nodes: Literal[1] = Field(1, alias="num_nodes", description="one machine per job; more are refused")
    schedule: Schedule | None = Field(None, description="read by `mlrun schedule add`; a plain `mlrun JOB` runs now")
    notify: Destinations = Field((), description="who is told of start, end and limits")
    import_: Import | None = Field(None, alias="import", description="values from a file that the job has already")


__all__ = ["Budget", "Dataset", "Form", "JobConfig", "Model", "Resources", "Span", "Training"]
