"""The nouns: job, hardware, workload, plan, run."""
