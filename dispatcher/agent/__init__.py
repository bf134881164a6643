"""Programs pushed to a host: standard library only."""
