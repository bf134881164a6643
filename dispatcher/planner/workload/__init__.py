"""From a job to its work, one module per family."""
