"""What names in a script stand for: constants, flags, dataclass fields."""

from __future__ import annotations

import ast
import math
import operator
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

MOST_ITEMS = 100_000
LARGEST_NUMBER = 10**18
DEEPEST = 60
PARSED = ("parse_args", "parse_known_args", "parse_args_into_dataclasses")
FROM_FIELDS = ("HfArgumentParser", "cli")
"""Parsers that make flags of dataclass fields: transformers' and tyro's."""

BAGS = ("args", "arg", "opt", "opts", "options", "hparams", "flags", "FLAGS", "cfg", "config", "conf")
"""Names under which functions are handed a command line's values."""

_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.FloorDiv: operator.floordiv,
    ast.Div: operator.truediv, ast.Mod: operator.mod,
}  # fmt: skip


class Unreadable(Exception):
    """An expression whose value only a run would tell."""


@dataclass(frozen=True, slots=True)
class Flag:
    """An argparse argument: its flag on the command line, and its default (None where it has none)."""

    flag: str
    default: Any
    line: int
    required: bool = False


@dataclass(frozen=True, slots=True)
class Known:
    """A value, and the flag that gives it on the command line ("" where none does)."""

    value: Any
    flag: str = ""


class Scope:
    """A script's constants, command-line flags and dataclass fields, by name."""

    def __init__(self, nodes: list[ast.AST]) -> None:
        stores = Counter(_stored(nodes))
        self.constants = {name: value for name, value in _assigned(nodes) if stores[name] == 1}
        self.flags: dict[str, Flag] = {}
        self.flags = _settled(list(_flags(self, nodes)), _overruled(nodes))
        self.fields = {node.name: dict(_fields(node)) for node in nodes if isinstance(node, ast.ClassDef) and _is_data(node)}
        if any(called(node) in FROM_FIELDS for node in nodes):
            self.flags = dict(_of_fields(self)) | self.flags
        self.parsed = {name for name, value in self.constants.items() if called(value) in PARSED}

    def read(self, node: ast.AST | None) -> Known | None:
        """The value of an expression with its flag; None where it cannot be told without running the script."""
        if node is None:
            return None
        try:
            found = self._flag_of(node)
            if found:
                return None if found.default is None else Known(found.default, found.flag)
            return Known(self.value(node))
        except (Unreadable, ArithmeticError, ValueError, TypeError, RecursionError):
            return None

    def value(self, node: ast.AST, depth: int = 0) -> Any:
        """The value of an expression. Raises Unreadable."""
        reader = _READERS.get(type(node))
        if reader is None or depth > DEEPEST:
            raise Unreadable
        return reader(self, node, depth + 1)

    def keywords(self, call: ast.Call) -> dict[str, ast.AST]:
        """A call's keyword arguments, those of a `**dict` that can be read among them."""
        found: dict[str, ast.AST] = {}
        for keyword in call.keywords:
            if keyword.arg:
                found[keyword.arg] = keyword.value
            else:
                found |= self.entries(keyword.value)
        return found

    def entries(self, node: ast.AST | None) -> dict[str, ast.AST]:
        """The entries of a dict display, of dict(…), or of a name for one of them."""
        if isinstance(node, ast.Name):
            node = self.constants.get(node.id)
        if isinstance(node, ast.Call) and called(node) == "dict":
            return {keyword.arg: keyword.value for keyword in node.keywords if keyword.arg}
        if not isinstance(node, ast.Dict):
            return {}
        found: dict[str, ast.AST] = {}
        for key, value in zip(node.keys, node.values, strict=True):
            if key is None:
                found |= self.entries(value) if not isinstance(value, ast.Name) or value.id in self.constants else {}
            elif isinstance(key, ast.Constant) and isinstance(key.value, str):
                found[key.value] = value
        return found

    def behind(self, node: ast.AST | None) -> ast.AST | None:
        """The expression that a name stands for; the expression itself where it is none."""
        for _ in range(DEEPEST):
            if not isinstance(node, ast.Name) or node.id not in self.constants:
                return node
            node = self.constants[node.id]
        return None

    def _flag_of(self, node: ast.AST) -> Flag | None:
        """The flag behind `args.name`, or behind a name that was given it."""
        node = self.behind(node) or node
        if isinstance(node, ast.Call) and called(node) in ("int", "float", "str") and len(node.args) == 1:
            node = node.args[0]
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            base = node.value.id
            return self.flags.get(node.attr) if base in self.parsed or base in BAGS else None
        return None

    def _name(self, node: ast.Name, depth: int) -> Any:
        if node.id not in self.constants:
            raise Unreadable
        return self.value(self.constants[node.id], depth)

    def _attribute(self, node: ast.Attribute, depth: int) -> Any:
        """A dataclass's field on an object made in the script; a flag's default."""
        flag = self._flag_of(node)
        if flag and flag.default is not None:
            return flag.default
        made = self.behind(node.value)
        fields = self.fields.get(called(made) or last(made)) if made is not None else None
        if not fields or node.attr not in fields:
            raise Unreadable
        given = self.keywords(made) if isinstance(made, ast.Call) else {}
        return self.value(given.get(node.attr, fields[node.attr]), depth)

    def _binary(self, node: ast.BinOp, depth: int) -> Any:
        left, right = self.value(node.left, depth), self.value(node.right, depth)
        if isinstance(node.op, ast.Div) and isinstance(left, str) and isinstance(right, str):
            return f"{left.rstrip('/')}/{right}"
        if isinstance(node.op, ast.Pow):
            return _powered(left, right)
        numbers = isinstance(left, (int, float)) and isinstance(right, (int, float))
        joined = isinstance(node.op, ast.Add) and type(left) is type(right) and isinstance(left, (str, list))
        if type(node.op) not in _BINARY or not (numbers or joined):
            raise Unreadable
        return _bounded(_BINARY[type(node.op)](left, right))

    def _unary(self, node: ast.UnaryOp, depth: int) -> Any:
        value = self.value(node.operand, depth)
        if isinstance(node.op, ast.USub):
            return -value
        if isinstance(node.op, ast.Not):
            return not value
        raise Unreadable

    def _listed(self, node: ast.List | ast.Tuple | ast.Set, depth: int) -> list[Any]:
        return [self.value(one, depth) for one in node.elts]

    def _mapping(self, node: ast.Dict, depth: int) -> dict[str, Any]:
        return {key: self.value(value, depth) for key, value in self.entries(node).items()}

    def _subscript(self, node: ast.Subscript, depth: int) -> Any:
        key = self.value(node.slice, depth)
        entries = self.entries(node.value)
        if key in entries:
            return self.value(entries[key], depth)
        return self.value(node.value, depth)[key] if not entries else _unreadable()

    def _call(self, node: ast.Call, depth: int) -> Any:
        name = called(node)
        if name in ("int", "float", "str", "Path", "PurePath", "abspath", "expanduser") and len(node.args) == 1:
            value = self.value(node.args[0], depth)
            return int(value) if name == "int" else float(value) if name == "float" else str(value)
        if name in ("join", "Path", "joinpath") and node.args:
            return "/".join(str(self.value(one, depth)) for one in node.args)
        if name in ("range", "arange"):
            return _ranged([self.value(one, depth) for one in node.args])
        if name in ("list", "tuple", "sorted", "array", "asarray") and len(node.args) == 1:
            value = self.value(node.args[0], depth)
            return value if isinstance(value, list) else _unreadable()
        raise Unreadable


_READERS: dict[type[ast.AST], Callable[[Scope, Any, int], Any]] = {
    ast.Constant: lambda _scope, node, _depth: node.value,
    ast.Name: Scope._name,  # noqa: SLF001 - its own table
    ast.Attribute: Scope._attribute,  # noqa: SLF001
    ast.BinOp: Scope._binary,  # noqa: SLF001
    ast.UnaryOp: Scope._unary,  # noqa: SLF001
    ast.List: Scope._listed,  # noqa: SLF001
    ast.Tuple: Scope._listed,  # noqa: SLF001
    ast.Set: Scope._listed,  # noqa: SLF001
    ast.Dict: Scope._mapping,  # noqa: SLF001
    ast.Subscript: Scope._subscript,  # noqa: SLF001
    ast.Call: Scope._call,  # noqa: SLF001
}
"""Expressions that can be read without running anything."""


def _stored(nodes: list[ast.AST]) -> Iterator[str]:
    """Each place where a name gets a value; one that gets several has none that can be told."""
    fields = {id(part) for node in nodes if isinstance(node, ast.ClassDef) for one in node.body for part in _targets(one)}
    for node in nodes:
        if isinstance(node, ast.Name) and isinstance(node.ctx, (ast.Store, ast.Del)) and id(node) not in fields:
            yield node.id
        elif isinstance(node, ast.arg):
            yield node.arg


def _targets(node: ast.stmt) -> list[ast.expr]:
    if isinstance(node, ast.Assign):
        return node.targets
    return [node.target] if isinstance(node, ast.AnnAssign) else []


def _assigned(nodes: list[ast.AST]) -> Iterator[tuple[str, ast.AST]]:
    """NAME = expression, also with an annotation; not in a class, whose names are its own."""
    within = {id(one) for node in nodes if isinstance(node, ast.ClassDef) for one in node.body}
    for node in nodes:
        if id(node) in within:
            continue
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            yield from _bound(node.targets[0], node.value)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
            yield node.target.id, node.value


def _bound(target: ast.expr, value: ast.expr) -> Iterator[tuple[str, ast.AST]]:
    """The names on the left; those of `a, b = 1, 2` one by one, and the first of `args, rest = parse_known_args()`."""
    if isinstance(target, ast.Name):
        yield target.id, value
    elif isinstance(target, (ast.Tuple, ast.List)) and isinstance(value, (ast.Tuple, ast.List)):
        for one, part in zip(target.elts, value.elts, strict=False):
            yield from _bound(one, part)
    elif isinstance(target, ast.Tuple) and called(value) in PARSED:
        for one in target.elts[:1] if called(value) == "parse_known_args" else target.elts:
            yield from _bound(one, value)


def _flags(scope: Scope, nodes: list[ast.AST]) -> Iterator[tuple[str, Flag]]:
    """Arguments that argparse and click declare, by the name under which the script finds them."""
    for node in nodes:
        if not isinstance(node, ast.Call) or called(node) not in ("add_argument", "option"):
            continue
        words = [one.value for one in node.args if isinstance(one, ast.Constant) and isinstance(one.value, str)]
        long = next((word for word in words if word.startswith("--")), "")
        given = {keyword.arg: keyword.value for keyword in node.keywords if keyword.arg}
        dest = scope.read(given["dest"]) if "dest" in given else None
        name = str(dest.value) if dest else long.lstrip("-").replace("-", "_")
        if name:
            default = scope.read(given.get("default"))
            needed = scope.read(given.get("required"))
            required = bool(long) and default is None and "default" not in given and bool(needed and needed.value is True)
            yield name, Flag("" if _switches(given) else long, default.value if default else None, node.lineno, required)


def _settled(found: list[tuple[str, Flag]], overruled: set[str]) -> dict[str, Flag]:
    """Flags by name; one with two defaults, or that the script sets anew, is not known."""
    flags: dict[str, Flag] = {}
    for name, flag in found:
        if name in overruled or (name in flags and flags[name].default != flag.default):
            flags[name] = Flag(flag.flag, None, flag.line)
        else:
            flags.setdefault(name, flag)
    return flags


def _overruled(nodes: list[ast.AST]) -> set[str]:
    """Names that `args.name = …` or set_defaults(name=…) change."""
    stored = {node.attr for node in nodes if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)}
    calls = [node for node in nodes if isinstance(node, ast.Call) and called(node) == "set_defaults"]
    return stored | {keyword.arg for call in calls for keyword in call.keywords if keyword.arg}


def _of_fields(scope: Scope) -> Iterator[tuple[str, Flag]]:
    """The fields of the script's dataclasses as flags."""
    for names in scope.fields.values():
        for name, node in names.items():
            known = scope.read(node)
            yield name, Flag(f"--{name}", known.value if known else None, getattr(node, "lineno", 0))


def _switches(given: dict[str, ast.expr]) -> bool:
    """Whether the flag takes no value."""
    action = given.get("action")
    return isinstance(action, ast.Constant) and str(action.value).startswith(("store_true", "store_false"))


def _fields(node: ast.ClassDef) -> Iterator[tuple[str, ast.AST]]:
    for one in node.body:
        if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name) and one.value is not None:
            yield one.target.id, _default(one.value)
        elif isinstance(one, ast.Assign) and isinstance(one.targets[0], ast.Name):
            yield one.targets[0].id, one.value


def _default(value: ast.expr) -> ast.expr:
    """The default within field(default=…)."""
    if isinstance(value, ast.Call) and called(value) in ("field", "Field"):
        return next((keyword.value for keyword in value.keywords if keyword.arg == "default"), value)
    return value


def _is_data(node: ast.ClassDef) -> bool:
    """A dataclass, or a class of constants only."""
    if any(called(one) == "dataclass" or last(one) == "dataclass" for one in node.decorator_list):
        return True
    return all(isinstance(one, (ast.Assign, ast.AnnAssign, ast.Expr, ast.Pass)) for one in node.body)


def called(node: ast.AST | None) -> str:
    """The last word of what a call calls; "" where it is no call."""
    return last(node.func) if isinstance(node, ast.Call) else ""


def last(node: ast.AST | None) -> str:
    """The last word of a dotted name."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _powered(left: Any, right: Any) -> Any:
    if abs(left) > 1e6 or not 0 <= right <= 64:
        raise Unreadable
    return _bounded(left**right)


def _bounded(value: Any) -> Any:
    if isinstance(value, (int, float)) and (not math.isfinite(value) or abs(value) > LARGEST_NUMBER):
        raise Unreadable
    if isinstance(value, (str, list)) and len(value) > MOST_ITEMS:
        raise Unreadable
    return value


def _ranged(bounds: list[Any]) -> list[int]:
    found = range(*bounds)
    if len(found) > MOST_ITEMS:
        raise Unreadable
    return list(found)


def _unreadable() -> Any:
    raise Unreadable
