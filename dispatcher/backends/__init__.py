"""Where computers come from."""
