"""Runs that begin later: what is to happen, and who wakes mlrun for it."""
