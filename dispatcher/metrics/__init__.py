"""Curves that a job left in its outputs."""
