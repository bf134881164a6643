"""What has this computer: processor, memory within limits, GPUs as they are now, power, heat, speed."""

from dispatcher.hosts.probe.machine import pinned_gpus, probe

__all__ = ["pinned_gpus", "probe"]
