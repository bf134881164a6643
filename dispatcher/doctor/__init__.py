"""What stands in the way of running jobs here, with fixes."""

from dispatcher.doctor.check import Check, Level
from dispatcher.doctor.examine import checks

__all__ = ["Check", "Level", "checks"]
