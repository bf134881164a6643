"""Classical libraries on tables: memory, time, and what cannot be."""

from dispatcher.planner.tables.needs import explain, forbidden, memory, model_gb, seconds

__all__ = ["explain", "forbidden", "memory", "model_gb", "seconds"]
