"""A script's facts as settings: one reading, to plan and write."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from dispatcher.jobfile.calls import NETWORKS
from dispatcher.jobfile.datafile import describe, filled
from dispatcher.jobfile.estimators import Fit
from dispatcher.jobfile.families import ALWAYS, RELEVANT
from dispatcher.jobfile.readings import settled
from dispatcher.jobfile.source import ScriptFacts
from dispatcher.jobfile.tables import WEB, learned_from
from dispatcher.jobfile.value import Value

DEEP = frozenset({"torch", "transformers", "tensorflow", "keras", "lightning", "pytorch_lightning", "ultralytics", "timm"})
PICTURES = frozenset({"torchvision", "timm", "ultralytics"})
LANGUAGE = frozenset({"transformers", "peft", "trl", "unsloth"})
LEARNING = ("training.optimizer", "training.batch_size")
LENGTHS = ("training.steps", "training.epochs")


@dataclass(frozen=True, slots=True)
class Described:
    """A script's settings by dotted name; `unread` with reasons; `rivals` are estimators of which one must be chosen."""

    family: str
    settings: dict[str, Value] = field(default_factory=dict)
    unread: dict[str, str] = field(default_factory=dict)
    rivals: tuple[Fit, ...] = ()
    notes: tuple[str, ...] = ()


def described(facts: ScriptFacts, folder: Path, *, wanted: tuple[str, ...] = ()) -> Described:
    """The job's settings as the script has them. `wanted` chooses between several estimators; data lie below `folder`."""
    family = _family(facts)
    fits = _chosen(facts.fits, wanted) if family == "tabular" else ()
    settings, unread = dict(facts.settings), dict(facts.unread)
    _adapted(settings)
    if len(fits) == 1:
        _fitted(fits[0], facts, settings, unread)
    data, missing, notes = _data(facts, folder)
    notes += fits[0].notes if len(fits) == 1 else ()
    settings = {key: value for key, value in settings.items() if _relevant(key, family)} | data
    unread = {key: why for key, why in unread.items() if _relevant(key, family) and key not in settings} | missing
    _one_length(settings)
    rivals = fits if len(fits) > 1 else ()
    if rivals:
        unread["model.algorithm"] = f"it makes {', '.join(one.words for one in rivals[:4])}, and a plan is of one"
    if family == "transformer" and not facts.settings.get("model.name") and "model.layers" in settings:
        settings["model.family"] = Value("transformer", settings["model.layers"].origin)
    return Described(family, settings, unread, rivals, notes)


def _family(facts: ScriptFacts) -> str:
    """tabular, vision, transformer, or "" where the script does not tell."""
    learns = any(key in facts.settings or key in facts.unread for key in LEARNING)
    if facts.fits and not (facts.libraries & DEEP and learns):
        return "tabular"
    name = facts.settings.get("model.name")
    if name and (NETWORKS.fullmatch(str(name.value)) or (facts.libraries & PICTURES and not facts.libraries & LANGUAGE)):
        return "vision"
    if facts.libraries & LANGUAGE or "model.layers" in facts.settings or "model.sequence_length" in facts.settings:
        return "transformer"
    return "vision" if facts.libraries & PICTURES or "model.image_size" in facts.settings else ""


def _chosen(fits: tuple[Fit, ...], wanted: tuple[str, ...]) -> tuple[Fit, ...]:
    """The estimators that the words name; all of them where they name none."""

    def plain(text: str) -> str:
        return text.lower().replace("-", "").replace("_", "").removesuffix("classifier").removesuffix("regressor")

    words = [plain(word) for word in wanted]
    named = tuple(one for one in fits if any(word in (plain(one.name), one.library) for word in words))
    return named[:1] or fits


def _fitted(fit: Fit, facts: ScriptFacts, settings: dict[str, Value], unread: dict[str, str]) -> None:
    """Put one estimator's library, class and arguments among the settings."""
    values, computed = settled(fit.readings, facts.script)
    where = f"read in {facts.script} line {fit.line}"
    settings |= values
    settings |= {"model.library": Value(fit.library, where), "model.algorithm": Value(fit.name, where)}
    unread |= {key: why for key, why in computed.items() if key not in settings}


def _adapted(settings: dict[str, Value]) -> None:
    """What adapters, four-bit loading and the weights' type mean together."""
    adapters, four, weights = (settings.pop(key, None) for key in ("adapters", "four_bit", "weights"))
    if adapters:
        settings["training.method"] = Value("qlora" if four else "lora", (four or adapters).origin)
    if weights and not (adapters and four):
        settings["training.precision"] = weights
    if not adapters:
        for key in ("training.lora_rank", "training.lora_targets", "training.train_embeddings"):
            settings.pop(key, None)


def _one_length(settings: dict[str, Value]) -> None:
    """Steps limit epochs, as in Hugging Face's and Lightning's trainers; flags come before what is fixed."""
    steps, epochs = (settings.get(key) for key in LENGTHS)
    if steps and epochs:
        only_steps = bool(steps.flag) > bool(epochs.flag) or (not epochs.flag and not steps.origin.startswith("the default"))
        del settings["training.epochs" if only_steps else "training.steps"]


def _relevant(setting: str, family: str) -> bool:
    section, _, name = setting.partition(".")
    if section == "model":
        return not family or name.partition(".")[0] in RELEVANT[family] | ALWAYS
    return section != "training" or family != "tabular"


def _data(facts: ScriptFacts, folder: Path) -> tuple[dict[str, Value], dict[str, str], tuple[str, ...]]:
    """What is learned from: its path, and what the file itself says."""
    known = {str(one.path): describe(folder / str(one.path)) for one in facts.reads if one.path and not _remote(one.path)}
    readings = list(learned_from(list(facts.reads), {path: one.size for path, one in known.items() if one.size}))
    values, unread = settled(readings, facts.script)
    if len({one.path for one in facts.reads}) > 1 and "dataset.samples" not in values and "dataset.path" not in values:
        unread.setdefault("dataset.samples", "")
    path = values.get("dataset.path")
    if path is None or _remote(str(path.value)):
        return values, {key: why for key, why in unread.items() if why}, ()
    found = known[str(path.value)]
    for setting, value in filled(found, str(path.value)):
        values.setdefault(setting, value)
    notes = (f"{path.value} {found.trouble}: nothing was read from it.",) if found.trouble else ()
    return values, {key: why for key, why in unread.items() if why}, notes


def _remote(path: str) -> bool:
    return path.startswith(WEB)
