"""Exact figures from the real network, run on fake tensors elsewhere."""

from __future__ import annotations

from dispatcher.tracing.subject import Subject, subject_of
from dispatcher.tracing.tracing import TIMEOUT, trace

__all__ = ["TIMEOUT", "Subject", "subject_of", "trace"]
