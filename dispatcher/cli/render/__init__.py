"""Every character that is shown."""
