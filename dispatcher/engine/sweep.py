"""What exists against what should: the providers' lists first, the record second."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dispatcher.backends.base import Backend, Leftover
from dispatcher.domain.run import Label
from dispatcher.engine.context import Context, client_name
from dispatcher.engine.teardown import confirm_gone
from dispatcher.errors import MlrunError

YOUNG_SECONDS = 600.0
"""What no record knows is given this long: another mlrun may be about to write it down."""


@dataclass(frozen=True, slots=True)
class Found:
    """A leftover and what is done about it: keep (its run is open), stranger, young, remove; then removed or failed.

    `elsewhere` is a run of another computer of the same owner, before its end; `shared` belongs to no run and costs nothing.
    """

    leftover: Leftover
    action: str
    trouble: str = ""

    @property
    def left(self) -> bool:
        """Whether this should not exist, and does."""
        return self.action in ("remove", "failed")


def survey(backends: Iterable[Backend], ctx: Context, *, any_owner: bool = False) -> list[Found]:
    """Everything with our labels, and what should be done about it. Changes nothing."""
    listed = [(backend, one) for backend in backends for one in backend.leftovers()]
    tags: dict[Label | None, dict[str, str]] = {}
    for _, one in listed:  # a rule tells less than its machine does
        tags.setdefault(one.label, {}).update(one.tags)
    return [Found(one, _action(one, tags[one.label], backend, ctx, any_owner=any_owner)) for backend, one in listed]


def sweep(backends: Iterable[Backend], ctx: Context, found: Iterable[Found]) -> list[Found]:
    """Remove what a survey says should go; each label once, each confirmed."""
    by_name = {backend.name: backend for backend in backends}
    done: dict[Label, str] = {}
    return [_removed(one, by_name[one.leftover.where.partition(":")[0]], ctx, done) for one in found]


def _action(one: Leftover, tags: Mapping[str, str], backend: Backend, ctx: Context, *, any_owner: bool) -> str:
    if one.owner != backend.owner and not any_owner:
        return "stranger"
    if one.label is None:
        return "shared"
    run = ctx.store.get(one.label.run)
    if run is not None:
        return "keep" if run.open and not run.doubt else "remove"
    if _of_another(tags, ctx) and not _past(one.age_seconds, tags) and not any_owner:
        return "elsewhere"
    return "young" if one.age_seconds < YOUNG_SECONDS else "remove"


def _of_another(tags: Mapping[str, str], ctx: Context) -> bool:
    """Whether another computer of the same owner made it: its record is there."""
    client = tags.get("mlrun-client", "")
    return bool(client) and (ctx.runs is None or client != client_name(ctx.runs))


def _past(age: float, tags: Mapping[str, str]) -> bool:
    """Whether it lives beyond the end that it was made with."""
    life = tags.get("mlrun-max-seconds", "")
    return life.isdigit() and age > float(life)


def _removed(one: Found, backend: Backend, ctx: Context, done: dict[Label, str]) -> Found:
    label = one.leftover.label
    if one.action != "remove" or label is None:
        return one
    if label not in done:
        done[label] = _destroy(label, backend, ctx)
    return Found(one.leftover, "failed" if done[label] else "removed", done[label])


def _destroy(label: Label, backend: Backend, ctx: Context) -> str:
    """Why it could not be destroyed; "" when it is gone."""
    intent = ctx.store.intent(label, "sweep", {"where": backend.name})
    try:
        backend.terminate(label)
        ctx.store.settle(intent, confirm_gone(ctx, backend, label))
    except MlrunError as error:
        return error.message
    return ""
