"""Talking to a computer, this one or another."""
