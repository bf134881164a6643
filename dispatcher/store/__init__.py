"""What is remembered: runs, attempts, intents, transitions, leases."""
