"""A Compute Engine on loopback, joined to real hosts."""
