"""Runs that a cloud starts by itself, while every computer of ours may be off."""
