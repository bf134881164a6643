"""`setup aws --results`: the role of machines that keep results."""

from __future__ import annotations

import json
from collections.abc import Callable

from dispatcher.cli.render.console import bold, document, good, say
from dispatcher.errors import UsageError
from dispatcher.jobfile.settings import load_settings


def setup(place: str, agree: Callable[[str], None], *, remove: bool, policy: bool, as_json: bool) -> int:
    """Print what a user needs for it, or make the role after asking, or take it back."""
    from dispatcher.backends.aws import results, roles
    from dispatcher.backends.aws.client import Account

    bucket, below = results.named(place)
    if not bucket:
        raise UsageError("The bucket of `results: auto` comes with what nights need.", fix="mlrun setup aws --overnight")
    if policy:
        say(json.dumps(results.user_policy(place), indent=2), to_stdout=True)
        return 0
    account, role = Account(load_settings().aws.profile), results.role_for(bucket, below)
    there = roles.there(account, role)
    if not as_json:
        say(f"{bold('WHO')}       {account.identity()['Arn']}")
        say(f"{bold('ROLE')}      {role}: machines write below {place.rstrip('/')}, each below its own name, and do no more")
        say(f"{bold('POLICY')}    mlrun setup aws --results {place} --policy")
    if there == remove:
        agree(f"{'Remove' if remove else 'Make'} the role?")
    if remove:
        return _say({"removed": results.remove(account, place)}, "what stands in the bucket is yours", as_json=as_json)
    return _say({"made": results.make(account, place)}, f"results: {place} in a job file", as_json=as_json)


def _say(done: dict[str, list[str]], then: str, *, as_json: bool) -> int:
    if as_json:
        document({"schema": "1.0", **done})
        return 0
    (word, names), *_ = done.items()
    what = f"{', '.join(names)} {word}" if names else "Nothing had to be done"
    say(f"{good('✓')} {what}. {'Now' if word == 'made' else 'Left'}: {bold(then)}")
    return 0
