"""What a script says of its training: parsed, never executed."""

from __future__ import annotations

import ast
import stat
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dispatcher.errors import JobFileError, Problem
from dispatcher.jobfile.bound import SPELLINGS
from dispatcher.jobfile.calls import read_call
from dispatcher.jobfile.estimators import Fit, fits, searched
from dispatcher.jobfile.readings import GIVEN, NAMED, Reading, positive, read, settled
from dispatcher.jobfile.scope import Scope, called, last
from dispatcher.jobfile.tables import Read, data_reads, own_side
from dispatcher.jobfile.value import Value

LARGEST_SCRIPT = 2_000_000
LOOPS = {"epoch": "training.epochs", "epochs": "training.epochs", "ep": "training.epochs", "step": "training.steps",
    "iteration": "training.steps", "iter_num": "training.steps"}  # fmt: skip
"""What `for epoch in range(…)` counts."""

SWITCHES = {"bf16": "amp-bf16", "fp16": "amp-fp16"}
ASIDE = ("predict", "evaluate", "pipeline", "encode", "add_argument", "option", "generate", "score")
"""Calls whose batch_size is not the training's."""

BROAD = {"b", "bs", "batch", "samples", "rows", "max_train_samples", "hidden", "heads", "layers", "length", "bins", "leaves",
    "depth", "trees", "opt", "optimizer", "optim", "precision", "mixed_precision", "accum", "num_samples", "steps",
    "max_length"}  # fmt: skip
"""Names that mean a setting on a command line; elsewhere in a script they may be anything."""

_NAMES = {spelling: setting for setting, names in SPELLINGS.items() for spelling in names}
_KEYWORDS = {name: setting for name, setting in _NAMES.items() if name not in BROAD}
_TABULAR = ("model.trees", "model.depth", "model.leaves", "model.bins")


@dataclass(frozen=True, slots=True)
class ScriptFacts:
    """What a script imports, calls and mentions, and the settings read in it.

    `unread` are settings of which only a run would tell, with the reason; `fits` the estimators it makes; `reads` the places
    where data come in.
    """

    script: str = ""
    libraries: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()
    strings: tuple[str, ...] = ()
    settings: dict[str, Value] = field(default_factory=dict)
    unread: dict[str, str] = field(default_factory=dict)
    fits: tuple[Fit, ...] = ()
    reads: tuple[Read, ...] = ()
    lines: tuple[str, ...] = ()


def read_script(path: Path) -> ScriptFacts:
    """The facts of a Python script; none where it cannot be read as Python."""
    try:
        return facts_of(path)
    except JobFileError:
        return ScriptFacts()


def facts_of(path: Path) -> ScriptFacts:
    """The facts of a Python script. Raises JobFileError where it cannot be read as one."""
    raw = _bytes(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(raw)
        return _facts(tree, path.name, raw)
    except SyntaxError as why:
        raise JobFileError(path.name, [_syntax(why, raw)]) from None
    except (ValueError, RecursionError, MemoryError):
        problem = Problem(
            f"{path.name} is not a Python script that can be read.", "Name the script, or describe it in a job file."
        )
        raise JobFileError(path.name, [problem]) from None


def _bytes(path: Path) -> bytes:
    try:
        facts = path.stat()
        if stat.S_ISDIR(facts.st_mode):
            raise _wrong(path, "is a folder.", "Name the script in it.")
        if not stat.S_ISREG(facts.st_mode):
            raise _wrong(path, "is no file.", "Name a script.")
        if facts.st_size > LARGEST_SCRIPT:
            raise _wrong(path, "is larger than 2 MB: scripts are not.", "Describe the job in a YAML file: mlrun init")
        if path.suffix == ".ipynb":
            raise _wrong(path, "is a notebook.", f"Write it out first: jupyter nbconvert --to script {path.name}")
        return path.read_bytes()
    except FileNotFoundError:
        raise _wrong(path, "does not exist.", "Check the path.") from None
    except PermissionError:
        raise _wrong(path, "may not be read by you.", f"chmod u+r {path}") from None
    except (OSError, ValueError) as why:
        raise _wrong(path, f"cannot be read: {getattr(why, 'strerror', None) or why}.", "Check the path.") from None


def _wrong(path: Path, message: str, fix: str) -> JobFileError:
    return JobFileError(path.name or str(path), [Problem(f"{path} {message}", fix)])


def _syntax(why: SyntaxError, raw: bytes) -> Problem:
    """What Python says of the text, at its place; Python 2 by name."""
    said = why.msg or "not Python"
    if b"\0" in raw[:4096]:
        return Problem("it is a binary file, not a script.", "Name the Python script.")
    if "Missing parentheses in call to" in said or "multiple exception types must be parenthesized" in said:
        said, fix = "this is Python 2.", "Only Python 3 is read: convert it with 2to3, or describe the job in a YAML file."
    else:
        said, fix = f"this is not Python: {said}.", "Mend the script; python -m py_compile says the same."
    lines = raw.decode("utf-8", "replace").splitlines()
    line = why.lineno or 0
    source = lines[line - 1] if 0 < line <= len(lines) else ""
    return Problem(said, fix, line if source else 0, why.offset or 1, 1, source[:200])


def _facts(tree: ast.Module, script: str, raw: bytes) -> ScriptFacts:
    nodes = list(ast.walk(tree))
    _own_names(nodes)
    scope = Scope(nodes)
    calls = sorted((node for node in nodes if isinstance(node, ast.Call)), key=lambda node: (node.lineno, node.col_offset))
    roots = dict(_imports(nodes))
    libraries = frozenset(roots.values())
    readings = [reading for call in calls for reading in read_call(scope, call, libraries)]
    readings += _generic(scope, calls)
    readings += _by_name(scope, nodes)
    readings += searched(scope, calls)
    if all(reading.setting != "model.image_size" for reading in readings):
        readings += own_side(calls)
    values, unread = settled(readings, script)
    return ScriptFacts(
        script=script,
        libraries=libraries,
        names=frozenset(last(node) for node in nodes) | frozenset(_imported(nodes)),
        strings=tuple(node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)),
        settings=values,
        unread=unread,
        fits=tuple(fits(scope, calls, roots)),
        reads=tuple(data_reads(scope, calls)),
        lines=tuple(raw.decode("utf-8", "replace").splitlines()),
    )


def _imports(nodes: list[ast.AST]) -> Iterator[tuple[str, str]]:
    """Each imported name, and the library it comes from."""
    for node in nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                root = alias.name.partition(".")[0]
                yield alias.asname or root, root
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            root = node.module.partition(".")[0]
            yield from ((alias.name, root) for alias in node.names)


def _own_names(nodes: list[ast.AST]) -> None:
    """Give what was imported under another name its own name back: RF is RandomForestClassifier."""
    imports = [node for node in nodes if isinstance(node, ast.ImportFrom)]
    own = {alias.asname: alias.name for node in imports for alias in node.names if alias.asname}
    for node in nodes:
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            node.id = own.get(node.id, node.id)


def _imported(nodes: list[ast.AST]) -> Iterator[str]:
    return (alias.name for node in nodes if isinstance(node, (ast.Import, ast.ImportFrom)) for alias in node.names)


def _generic(scope: Scope, calls: list[ast.Call]) -> Iterator[Reading]:
    """Keyword arguments that mean the same in every call: of configurations, loops and trainers of one's own."""
    for call in calls:
        if called(call) in ASIDE:
            continue
        for name, node in scope.keywords(call).items():
            setting = _KEYWORDS.get(name, "")
            if setting and setting not in _TABULAR:
                yield from read(scope, setting, node, convert=positive, strength=GIVEN)
            elif name in SWITCHES and (known := scope.read(node)) and known.value is True:
                yield Reading("training.precision", SWITCHES[name], call.lineno, strength=GIVEN)
            elif name == "gradient_checkpointing" and (known := scope.read(node)) and known.value is True:
                yield Reading("training.gradient_checkpointing", value=True, line=call.lineno, strength=GIVEN)


def _by_name(scope: Scope, nodes: list[ast.AST]) -> Iterator[Reading]:
    """Flags, dataclass fields, constants and loops that are called what a setting is called."""
    for name, flag in scope.flags.items():
        setting = _NAMES.get(name, "")
        value = _meant(setting, flag.default)
        if setting and flag.required:
            words = f"line {flag.line} has no default for {flag.flag}, which must be given"
            yield Reading(setting, None, flag.line, flag.flag, NAMED, words)
        if setting and value is not None and flag.flag:
            yield Reading(setting, value, flag.line, flag.flag, NAMED, f"the default of {flag.flag} in")
    for names in (*scope.fields.values(), scope.constants):
        for name, node in names.items():
            setting = _KEYWORDS.get(name.lower(), "")
            known = scope.read(node) if setting else None
            value = positive(known.value) if known else None
            if known and value is not None:
                yield Reading(setting, value, node.lineno, known.flag, NAMED)  # type: ignore[attr-defined]
    for node in nodes:
        if isinstance(node, ast.For) and (setting := LOOPS.get(last(node.target).strip("_"), "")):
            yield from _loop(scope, setting, node.iter)


def _loop(scope: Scope, setting: str, over: ast.expr) -> Iterator[Reading]:
    """for epoch in range(n), also within tqdm(…); range(1, n + 1) is n long."""
    while isinstance(over, ast.Call) and called(over) in ("tqdm", "trange", "track") and over.args:
        over = over.args[0] if called(over) != "trange" else ast.copy_location(ast.Call(ast.Name("range"), over.args, []), over)
    if not isinstance(over, ast.Call) or called(over) != "range":
        return
    if len(over.args) == 1:
        yield from read(scope, setting, over.args[0], convert=positive, strength=GIVEN)
        return
    known = scope.read(over)
    length = len(known.value) if known and isinstance(known.value, list) else None
    yield Reading(setting, length or None, over.lineno, strength=GIVEN)


def _meant(setting: str, default: Any) -> Any:
    """A flag's default as the setting has it; None where it is no such value."""
    from dispatcher.jobfile.bound import OPTIMIZERS, PRECISIONS

    if setting == "training.precision":
        return PRECISIONS.get(str(default).lower())
    if setting == "training.optimizer":
        return OPTIMIZERS.get(str(default).lower())
    if setting == "training.workers":
        return default if isinstance(default, int) and not isinstance(default, bool) else None
    return positive(default)
