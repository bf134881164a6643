"""What stands in the way of running jobs here, with fixes."""
