"""Thinking: pure, no I/O."""
