"""Telling people how their runs stand: by desktop, mail or chat."""
