"""The bench on which jobs run."""

from tests.unit.agent.bench import bench

__all__ = ["bench"]
