"""What this computer has: processor, memory, GPUs, power, heat, speed."""

from dispatcher.hosts.probe.machine import pinned_gpus, probe

__all__ = ["pinned_gpus", "probe"]
