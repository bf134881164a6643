"""Runs that begin later, and who wakes mlrun for them."""
