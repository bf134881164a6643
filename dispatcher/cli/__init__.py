"""What is typed and what is shown."""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # as typing's own: nothing that takes long is loaded before Ctrl-C is heeded
if TYPE_CHECKING:
    import types


def _without_trace(kind: type[BaseException], error: BaseException, trace: types.TracebackType | None) -> None:
    """Ctrl-C before there is anything to cancel, while the program is being loaded, is no error of the program's."""
    if not issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)


sys.excepthook = _without_trace
