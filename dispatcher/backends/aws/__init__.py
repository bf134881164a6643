"""Amazon Web Services as a place to run."""
