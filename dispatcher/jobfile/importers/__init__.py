"""Values read from files that people have already: each format a table."""

from __future__ import annotations

from dispatcher.jobfile.importers.imported import FORMATS, Imported, imported, read_import

__all__ = ["FORMATS", "Imported", "imported", "read_import"]
