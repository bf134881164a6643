"""Telling people how their runs stand: on their desktop, by mail, by chat."""
