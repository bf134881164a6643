"""Curves that a job left in its outputs, in the formats that jobs leave them."""
