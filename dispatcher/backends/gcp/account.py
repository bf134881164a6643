"""The service account with which a machine deletes itself."""

from __future__ import annotations

from dispatcher.backends.gcp.client import Account
from dispatcher.backends.gcp.codes import GcpFailure

NAME = "mlrun-machine"
IAM = "https://iam.googleapis.com/v1/projects/{project}/serviceAccounts/{email}"


def email(project: str) -> str:
    """The account that `mlrun setup gcp` makes; its one permission is to delete machines whose names are ours."""
    return f"{NAME}@{project}.iam.gserviceaccount.com"


def ending_account(account: Account) -> str | None:
    """The service account for machines; None where there is none, or nobody may know: the machine then waits for its limit."""
    address = email(account.project)
    try:
        account.rest(IAM.format(project=account.project, email=address), "the service account of machines")
    except GcpFailure:
        return None
    return address
