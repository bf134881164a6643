"""Making it happen, and unhappen."""
