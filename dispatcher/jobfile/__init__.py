"""From files that people write to a validated job."""
