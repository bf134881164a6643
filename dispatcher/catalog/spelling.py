"""The spellings of one part, brought to one form."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass

_MEMORY = re.compile(r"(?<![\w.])(\d+(?:\.\d+)?) ?(?:gb|gib|g)(?![a-z0-9])")
_CORES = re.compile(r"(?<!\w)(\d+)[ -]?cores?(?: gpu)?(?!\w)")
_MARKS = re.compile(r"\((?:r|tm|c)\)|[®™]")
_MAKERS = "nvidia intel amd apple google aws"
_FILLERS = "tesla geforce radeon instinct gpu graphics generation with design soc oam"
_NOISE = frozenset(f"{_MAKERS} {_FILLERS}".split())
_CPU_NOISE = frozenset(f"{_MAKERS} cpu processor genuine".split())
_CPU_ASIDES = re.compile(r"\b\d+(?:st|nd|rd|th) gen\b|\bwith radeon.*|w/ radeon.*|\b\d+-core\b|\(.*?\)")
_SAME = {"mobile": "laptop", "notebook": "laptop", "pci": "pcie"}
FORMS = frozenset(("sxm", "pcie", "nvl"))
SERIES = frozenset(("rtx", "gtx", "quadro", "grid", "rx"))


@dataclass(frozen=True, slots=True)
class Spelling:
    """An accelerator's name in parts: its words, memory in GiB where stated, cores where stated."""

    words: tuple[str, ...]
    memory: float | None = None
    cores: int | None = None

    def without(self, drop: frozenset[str]) -> Spelling:
        """The same without some words."""
        return Spelling(tuple(word for word in self.words if word not in drop), self.memory, self.cores)


def spell(text: str) -> Spelling:
    """The parts of an accelerator's name, whatever the order, case and punctuation."""
    plain = _MARKS.sub(" ", text.lower().replace("_", " "))
    plain = re.sub(r"max-?q", " laptop ", re.sub(r"\bhbm\d?e?\b", " ", plain))
    plain = re.sub(r"\bsxm\d?\b", "sxm", plain.replace("-", " "))
    memory, cores = _MEMORY.search(plain), _CORES.search(plain)
    plain = _CORES.sub(" ", _MEMORY.sub(" ", plain))
    words = {_SAME.get(word, word) for word in re.findall(r"[a-z]+|\d+", plain)}
    stated = float(memory.group(1)) if memory else None
    return Spelling(tuple(sorted(words - _NOISE)), stated, int(cores.group(1)) if cores else None)


def plain_cpu(text: str) -> str:
    """A processor's name without marks, clock and fillers: "core i7 12700h", "xeon e5 2686 v4"."""
    plain = _MARKS.sub(" ", text.lower()).partition("@")[0]
    words = re.findall(r"[a-z0-9]+\+?", _CPU_ASIDES.sub(" ", plain))
    return " ".join(word for word in words if word not in _CPU_NOISE)


def nearest(text: str, names: Iterable[str], count: int = 3) -> tuple[str, ...]:
    """The names most like this text, best first."""
    known = {_loose(name): name for name in names}
    return tuple(known[key] for key in difflib.get_close_matches(_loose(text), known, n=count, cutoff=0.5))


def _loose(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())
