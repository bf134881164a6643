"""The product without a terminal: plan, run, and look after runs."""
