"""R13: another host key is refused before anybody is asked for a login."""

from tests.guarantees.real.strangers import meet
from tests.guarantees.row import Row

TARGET = "a man in the middle with another host key, at first and later contact: 100 % refused before authentication"


def measure(quick: bool = False) -> Row:
    found = meet(10 if quick else 100)
    refused = found.met - sum("contact" in one for one in found.wrong)
    measured = f"{refused} of {found.met} refused; logins begun with the stranger: "
    measured += "some" if any("login" in one for one in found.wrong) else "none"
    return Row("R13", TARGET, measured, found.control and not found.wrong)
