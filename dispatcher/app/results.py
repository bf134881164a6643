"""Where results of a run are kept, asked before it starts."""

from __future__ import annotations

from typing import cast

from dispatcher.backends import registry
from dispatcher.domain.plan import Offer
from dispatcher.errors import UsageError
from dispatcher.jobfile.load import LoadedJob
from dispatcher.overnight.keeping import Place, Results


def kept_in(loaded: LoadedJob, offer: Offer) -> Place | None:
    """The bucket that `results` names, looked up; None where it names none, and here. Raises what is lacking for it."""
    wish = loaded.config.results
    if not wish or offer.where == "local":
        return None
    side = getattr(registry.load(offer.where), "results", None)
    if side is None:
        text = f"results: machines of {offer.where} keep nothing in a bucket in this version."
        raise UsageError(text, fix="--where aws; or leave `results` out: outputs come home all the same.")
    return cast(Results, side).place(wish, str(offer.region))


def refuse_at_night(loaded: LoadedJob) -> None:
    """A night's results go where its bundle came from."""
    if loaded.config.results not in (None, "auto"):
        text = f"results: {loaded.config.results}: runs that a cloud starts keep theirs in the bucket that `mlrun setup` made."
        raise UsageError(text, fix="results: auto, or leave it out.")


def refuse_when_lent(loaded: LoadedJob) -> None:
    """A machine that is lent was made without a right to write there."""
    if loaded.config.results:
        text = "results: a machine that another run holds may not write there."
        raise UsageError(text, fix="Run the job without --on, or leave `results` out.")
