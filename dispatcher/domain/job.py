"""The job file's keys: the user's YAML, validated."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, field_validator

from dispatcher.domain.values import Bytes, Cores, DiskGb, Gpus, RamGib, Seconds, Span, Strict

Task = Literal["train", "finetune", "inference"]
Family = Literal["transformer", "vision", "diffusion", "detection", "tabular", "torch", "custom"]
Precision = Literal["fp32", "tf32", "amp", "amp-bf16", "amp-fp16", "bf16", "fp16", "fp8", "int8", "nf4"]
Method = Literal["full", "lora", "qlora"]
Optimizer = Literal[
    "adamw", "adam", "adamw-8bit", "paged-adamw-8bit", "paged-adamw", "adafactor", "lion", "lion-8bit", "sgd",
    "sgd-momentum", "rmsprop", "adagrad", "lamb", "muon",
]  # fmt: skip
Sharding = Literal["none", "zero1", "zero2", "zero3", "fsdp"]

Positive = Annotated[int, Field(gt=0, le=10**18)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Amount = Annotated[float, Field(gt=0, le=1e30)]


class Search(Strict):
    """A grid search or cross-validation: `candidates` × `folds` fits, `jobs` at a time."""

    candidates: Positive = 1
    folds: Positive = 1
    jobs: Annotated[int, Field(ge=-1, le=10**6)] = 1


class Model(Strict):
    """What is trained. The family follows from a known name, else it is named; unset keys are inferred or asked for."""

    family: Family | None = Field(None, description="transformer, vision, diffusion, detection, tabular, torch or custom")
    name: str | None = Field(None, description="a known model: resnet50, llama-3.1-8b, xgboost")
    config: str | None = Field(None, description="a Hugging Face config.json")
    kind: Literal["decoder", "encoder", "encoder-decoder"] | None = None
    layers: Positive | None = None
    hidden: Positive | None = None
    heads: Positive | None = None
    kv_heads: Positive | None = None
    ffn: Positive | None = None
    vocab: Positive | None = None
    experts: Positive | None = Field(None, description="experts per layer in a mixture of experts")
    active_experts: Positive | None = Field(None, description="experts that each token passes through")
    mlp: Literal["gated", "plain"] | None = None
    tied_embeddings: bool | None = None
    sequence_length: Positive | None = Field(None, description="tokens per sample")
    image_size: Positive | None = Field(None, description="side of the square image in pixels")
    library: Literal["sklearn", "xgboost", "lightgbm", "catboost", "cuml"] | None = None
    algorithm: str | None = None
    trees: Positive | None = None
    depth: Positive | None = None
    leaves: Positive | None = None
    bins: Positive | None = None
    search: Search | None = None
    factory: str | None = Field(None, description="pkg.mod:build, a function that returns the torch module")
    input: Any = Field(None, description="shape of one sample, for `factory`")
    parameters: Amount | None = None
    flops_per_sample: Amount | None = None
    activation_bytes_per_sample: Amount | None = None


class Dataset(Strict):
    """What it is trained on; size and samples are read where they can be."""

    path: str | None = Field(None, description="a file or folder; also s3://, gs://, hf://")
    samples: Positive | None = Field(None, alias="rows", description="samples, or rows of a table")
    columns: Positive | None = None
    size: Bytes | None = Field(None, description="bytes on disk, like 1.1GB")
    dtype: Literal["float64", "float32", "float16", "int64", "int32", "int8", "uint8"] | None = None
    in_memory: bool | None = Field(None, description="whether the library needs the whole table in RAM")
    mean_length: Amount | None = Field(None, description="mean tokens per sample where data are ragged")


class Training(Strict):
    """How it is trained. `batch_size` is per device."""

    method: Method = "full"
    precision: Precision | None = None
    optimizer: Optimizer | None = None
    batch_size: Positive | None = None
    gradient_accumulation: Positive = 1
    gradient_checkpointing: Literal["selective"] | bool = False
    epochs: Amount | None = None
    steps: Positive | None = None
    tokens: Amount | None = None
    sharding: Sharding = "none"
    lora_rank: Positive | None = None
    lora_targets: Literal["all-linear"] | tuple[str, ...] | None = None
    attention: Literal["flash", "sdpa", "eager"] | None = None
    compile: bool = False
    chunked_loss: bool = False
    optimizer_in_backward: bool = False
    offload: Literal["none", "optimizer", "parameters"] = "none"
    train_embeddings: bool = False
    workers: Annotated[int, Field(ge=0, le=4096)] | None = Field(None, description="data loader processes")


class Resources(Strict):
    """Limits on rented and owned machines, not on this one."""

    gpu: Gpus | None = Field(None, alias="accelerators", description="T4, L4:1, 24GB+, a list of these, or 0 for none")
    cpus: Cores | None = None
    memory: RamGib | None = Field(None, description="RAM, as sold: 16GB+")
    disk: DiskGb | None = None


class Budget(Strict):
    """What it may cost and take."""

    max_cost: Amount | None = Field(None, description="USD for the whole job")
    max_time: Seconds | None = None
    max_hourly: Amount | None = Field(None, description="USD per hour")
    finish_by: str | None = Field(None, description="a time of day, 07:30, or a date and time")
    prefer: Literal["cheap", "fast"] = "cheap"


class Checkpoint(Strict):
    """Where the job saves its state, and how often."""

    dir: str
    every: Seconds | None = None


class Schedule(Strict):
    """When `mlrun schedule add` starts it."""

    at: str | None = None
    cron: str | None = None
    timezone: str | None = None


class Import(Strict):
    """Values read from a file that the job has already."""

    from_: Literal["axolotl", "llama-factory", "hf-trainer", "skypilot", "dstack", "yaml", "json", "toml"] = Field(alias="from")
    file: str | None = None
    command: str | None = None
    map: dict[str, str] = Field(default_factory=dict)


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _texts(value: Any) -> Any:
    """Environment values are text: numbers are taken as written, booleans are not guessed."""
    if not isinstance(value, dict):
        return value
    for name, text in value.items():
        if isinstance(text, bool) or text is None:
            raise ValueError(f"the value of {name} must be text: put it in quotes")
    return {name: str(text) if isinstance(text, (int, float)) else text for name, text in value.items()}


def _names(value: dict[str, str]) -> dict[str, str]:
    for name, text in value.items():
        _variable(name)
        if "\0" in text:
            raise ValueError(f"the value of {name} holds a NUL byte")
    return value


def _variable(name: str) -> str:
    if not name.isascii() or not name.isidentifier():
        raise ValueError(f"{name!r} is not a variable's name. Use letters, digits and _")
    return name


Texts = Annotated[tuple[str, ...], BeforeValidator(_listed)]
Variable = Annotated[str, AfterValidator(_variable)]


class JobConfig(Strict):
    """One job. Only `run` is required; everything else describes, limits or hints."""

    run: str = Field(min_length=1, max_length=65536, description="the command, as a shell reads it")
    name: str | None = Field(None, pattern=r"^[a-z0-9][a-z0-9-]{0,38}$", description="default: the file's stem")
    workdir: str = Field(".", description="what travels; .gitignore and .dispatchignore are honoured")
    setup: str | None = Field(None, description="what must be installed first")
    env: Annotated[dict[str, str], BeforeValidator(_texts), AfterValidator(_names)] = Field(default_factory=dict, alias="envs")
    secrets: Annotated[tuple[Variable, ...], BeforeValidator(_listed)] = ()
    outputs: Texts = ()
    results: str | None = None
    checkpoint: Checkpoint | None = None
    task: Task | None = None
    model: Model | None = None
    dataset: Dataset | None = None
    training: Training = Field(default_factory=Training)
    resources: Resources = Field(default_factory=Resources)
    budget: Budget = Field(default_factory=Budget)
    where: str = Field("auto", description="auto, local, cloud, aws, gcp, aws/us-east-1 or ssh:desk")
    spot: Literal["auto"] | bool = "auto"
    schedule: Schedule | None = None
    notify: Texts = ()
    import_: Import | None = Field(None, alias="import")

    @field_validator("model", mode="before")
    @classmethod
    def _short_model(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    @field_validator("dataset", mode="before")
    @classmethod
    def _short_dataset(cls, value: Any) -> Any:
        return {"path": value} if isinstance(value, str) else value

    @field_validator("where")
    @classmethod
    def _known_place(cls, value: str) -> str:
        place = value.partition("/")[0].partition(":")[0]
        if place not in ("auto", "local", "cloud", "aws", "gcp", "ssh") or value.endswith((":", "/")):
            raise ValueError(f"{value!r} is not a place. Use auto, local, cloud, aws, gcp, aws/us-east-1 or ssh:desk")
        return value


__all__ = ["Budget", "Dataset", "JobConfig", "Model", "Resources", "Span", "Training"]
