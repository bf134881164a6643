"""Google Cloud's Compute Engine as a place to run."""
