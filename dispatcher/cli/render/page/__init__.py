"""A run's report as one HTML file that asks nobody for anything."""
