"""The lab's own reading of IAM policies: actions, resources, conditions."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

Values = Mapping[str, list[str]]


@dataclass(frozen=True, slots=True)
class Need:
    """A permission that a call needs: the action, on what, and what is known of the request (keys in lower case)."""

    action: str
    resource: str = "*"
    keys: Values = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a need is met, and by which statement (policy number, statement number)."""

    allowed: bool
    by: tuple[int, int] | None = None
    pattern: str = ""
    denied: bool = False


def judge(policies: Sequence[Mapping[str, Any]], need: Need) -> Verdict:
    """A deny wins; without an allow the answer is no."""
    allowed = Verdict(allowed=False)
    for number, policy in enumerate(policies):
        for place, statement in enumerate(_several(policy.get("Statement"))):
            pattern = _action(statement, need.action)
            if pattern is None or not _resource(statement, need) or not _conditions(statement.get("Condition", {}), need.keys):
                continue
            if statement["Effect"] == "Deny":
                return Verdict(allowed=False, by=(number, place), pattern=pattern, denied=True)
            if not allowed.allowed:
                allowed = Verdict(allowed=True, by=(number, place), pattern=pattern)
    return allowed


def _several(value: Any) -> list[Any]:
    return [] if value is None else list(value) if isinstance(value, list | tuple) else [value]


def _action(statement: Mapping[str, Any], action: str) -> str | None:
    if "NotAction" in statement:
        hit = any(_like(action.lower(), one.lower()) for one in _several(statement["NotAction"]))
        return None if hit else "NotAction"
    return next((one for one in _several(statement.get("Action")) if _like(action.lower(), one.lower())), None)


def _resource(statement: Mapping[str, Any], need: Need) -> bool:
    if "NotResource" in statement:
        return not any(_like(need.resource, _filled(one, need.keys)) for one in _several(statement["NotResource"]))
    return any(_like(need.resource, _filled(one, need.keys)) for one in _several(statement.get("Resource")))


def _like(value: str, pattern: str) -> bool:
    return fnmatchcase(value, pattern.replace("[", "[[]"))


def _filled(text: str, keys: Values) -> str:
    """Policy variables: ${aws:userid}; one that is unknown matches nothing."""
    literal = {"*": "[*]", "?": "[?]", "$": "$"}

    def value(found: re.Match[str]) -> str:
        name = found.group(1)
        if name in literal:
            return literal[name]
        known = keys.get(name.lower(), [])
        return known[0] if len(known) == 1 else "\0"

    return re.sub(r"\$\{([^}]*)\}", value, text)


def _conditions(conditions: Mapping[str, Any], keys: Values) -> bool:
    return all(_operator(operator, tests, keys) for operator, tests in conditions.items())


def _operator(operator: str, tests: Mapping[str, Any], keys: Values) -> bool:
    """All its keys must hold; the values of one key are alternatives."""
    quantifier, _, name = operator.rpartition(":")
    if_exists = name.endswith("IfExists")
    name = name.removesuffix("IfExists")
    for key, wanted in tests.items():
        values, patterns = keys.get(key.lower(), []), [str(one) for one in _several(wanted)]
        if name == "Null":
            if (str(patterns[0]).lower() == "true") != (not values):
                return False
            continue
        if not values and (if_exists or quantifier == "ForAllValues"):
            continue
        if not _holds(name, quantifier, values, [_filled(one, keys) for one in patterns]):
            return False
    return True


def _holds(name: str, quantifier: str, values: Sequence[str], patterns: Sequence[str]) -> bool:
    negated = name in NEGATED
    compare = COMPARE[NEGATED.get(name, name)]
    met = [any(compare(value, pattern) for pattern in patterns) != negated for value in values]
    if not values:
        return negated
    return any(met) if quantifier == "ForAnyValue" else all(met)


def _number(compare: Callable[[float, float], bool]) -> Callable[[str, str], bool]:
    return lambda value, pattern: compare(float(value), float(pattern))


NEGATED = {
    "StringNotEquals": "StringEquals",
    "StringNotLike": "StringLike",
    "StringNotEqualsIgnoreCase": "StringEqualsIgnoreCase",
    "ArnNotLike": "ArnLike",
    "ArnNotEquals": "ArnLike",
    "NumericNotEquals": "NumericEquals",
}
COMPARE: dict[str, Callable[[str, str], bool]] = {
    "StringEquals": lambda value, pattern: value == pattern,
    "StringEqualsIgnoreCase": lambda value, pattern: value.lower() == pattern.lower(),
    "StringLike": _like,
    "ArnLike": _like,
    "ArnEquals": _like,
    "Bool": lambda value, pattern: value.lower() == pattern.lower(),
    "NumericEquals": _number(lambda a, b: a == b),
    "NumericLessThan": _number(lambda a, b: a < b),
    "NumericLessThanEquals": _number(lambda a, b: a <= b),
    "NumericGreaterThan": _number(lambda a, b: a > b),
    "NumericGreaterThanEquals": _number(lambda a, b: a >= b),
}


def check(policy: Mapping[str, Any]) -> list[str]:
    """What AWS would refuse, or this evaluator does not know, in a policy."""
    wrong = [] if policy.get("Version") == "2012-10-17" else ["Version is not 2012-10-17: variables would not work"]
    for statement in _several(policy.get("Statement")):
        known = {"Sid", "Effect", "Action", "NotAction", "Resource", "NotResource", "Condition"}
        wrong += [f"{name} is no part of a statement" for name in statement if name not in known]
        wrong += [f"Effect {statement.get('Effect')!r}"] if statement.get("Effect") not in {"Allow", "Deny"} else []
        for operator in statement.get("Condition", {}):
            name = operator.rpartition(":")[2].removesuffix("IfExists")
            if name not in COMPARE and name not in NEGATED and name != "Null":
                wrong.append(f"operator {operator} is not known")
    return wrong


def missing(policies: Sequence[Mapping[str, Any]], wanted: Sequence[Need]) -> list[Need]:
    """What the policies do not allow."""
    return [need for need in wanted if not judge(policies, need).allowed]


def idle(policy: Mapping[str, Any], wanted: Sequence[Need]) -> list[str]:
    """Actions of a policy without which everything wanted would be allowed just the same."""
    return [
        f"{statement.get('Sid', place)}: {action}"
        for place, statement in enumerate(_several(policy["Statement"]))
        for action in _several(statement.get("Action"))
        if statement["Effect"] == "Allow" and not missing([_without(policy, place, action)], wanted)
    ]


def _without(policy: Mapping[str, Any], place: int, action: str) -> dict[str, Any]:
    statements = [dict(one) for one in _several(policy["Statement"])]
    statements[place]["Action"] = [one for one in _several(statements[place]["Action"]) if one != action]
    return {**policy, "Statement": statements}
