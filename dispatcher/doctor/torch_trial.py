"""Says what the job's Python has of torch. Python >= 3.8."""

from __future__ import annotations

import json
import platform
import sys
import warnings
from typing import Any


def facts() -> dict[str, Any]:
    """Version, build, and the devices it can use."""
    found: dict[str, Any] = {"python": platform.python_version(), "arch": platform.machine(), "torch": ""}
    try:
        import torch
    except ModuleNotFoundError as error:
        return found if error.name == "torch" else {**found, "broken": str(error)}
    except Exception as error:  # noqa: BLE001 - a broken installation raises anything, an OSError of its libraries mostly
        return {**found, "broken": str(error).strip().splitlines()[0][:300] if str(error) else type(error).__name__}
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        available = torch.cuda.is_available()
    mps = getattr(torch.backends, "mps", None)
    return {
        **found,
        "torch": str(torch.__version__),
        "cuda": torch.version.cuda or "",
        "hip": getattr(torch.version, "hip", None) or "",
        "archs": list(torch.cuda.get_arch_list()) if available else [],
        "available": bool(available),
        "mps": bool(mps and mps.is_available()),
        "said": str(said[-1].message).strip().splitlines()[0][:300] if said else "",
    }


if __name__ == "__main__":
    sys.stdout.write("\n" + json.dumps(facts()))
