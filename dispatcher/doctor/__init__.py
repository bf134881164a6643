"""What stands in the way of running jobs here, and the fix beside every finding."""

from dispatcher.doctor.check import Check, Level
from dispatcher.doctor.examine import checks

__all__ = ["Check", "Level", "checks"]
