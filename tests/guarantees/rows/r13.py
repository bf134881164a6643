"""R13: another host key is refused before anybody is asked for a login."""

from tests.guarantees.real.strangers import meet
from tests.guarantees.row import Row, Size

TARGET = "a man in the middle with another host key, at first and later contact: 100 % refused before authentication"


def measure(size: Size = Size.WHOLE) -> Row:
    found = meet(size.of(100, 10, 6))
    refused = found.met - sum("contact" in one for one in found.wrong)
    measured = f"{refused} of {found.met} refused; logins begun with the stranger: "
    measured += "some" if any("login" in one for one in found.wrong) else "none"
    return Row("R13", TARGET, measured, found.control and not found.wrong)
