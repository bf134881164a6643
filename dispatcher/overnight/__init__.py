"""Runs that a cloud starts while our computers may be off."""
