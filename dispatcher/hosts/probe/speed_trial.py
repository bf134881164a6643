"""Times memory copies and a matrix product, in any Python >= 3.8."""

from __future__ import annotations

import ctypes
import json
import sys
import threading
import time
from typing import Any

Buffer = Any
MIB = 2**20
COPY_SECONDS = 0.15
PRODUCT_SECONDS = 0.2
QUICK = 0.02
"""A product faster than this is too small for the machine."""


def bandwidth(threads: int, size: int) -> float:
    """GB/s read and written by `threads` copying `size` bytes each; the best of several passes."""
    pairs = [(ctypes.create_string_buffer(size), ctypes.create_string_buffer(size)) for _ in range(threads)]
    for source, target in pairs:
        ctypes.memset(source, 1, size)
        ctypes.memset(target, 2, size)
    best, end = float("inf"), time.perf_counter() + COPY_SECONDS
    while best == float("inf") or time.perf_counter() < end:
        best = min(best, _pass(pairs, size))
    return 2 * size * threads / best / 1e9


def gflops() -> float | None:
    """fp32 GFLOP/s of a square matrix product (2 n^3 operations); None where numpy is not."""
    try:
        import numpy as np
    except ImportError:
        return None
    size, best, end = 1024, 0.0, time.perf_counter() + PRODUCT_SECONDS
    left = np.full((size, size), 0.5, dtype=np.float32)
    left @ left
    while True:
        start = time.perf_counter()
        left @ left
        took = time.perf_counter() - start
        best = max(best, 2 * size**3 / took / 1e9)
        if time.perf_counter() >= end:
            return best
        if took < QUICK and size < 4096:
            size *= 2
            left = np.full((size, size), 0.5, dtype=np.float32)


def _pass(pairs: list[tuple[Buffer, Buffer]], size: int) -> float:
    """Seconds for all threads to copy once; ctypes lets go of the interpreter's lock meanwhile."""
    start = time.perf_counter()
    workers = [threading.Thread(target=ctypes.memmove, args=(target, source, size)) for source, target in pairs]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return time.perf_counter() - start


if __name__ == "__main__":
    rates = {"bandwidth_gbs": bandwidth(int(sys.argv[1]), int(sys.argv[2])), "gflops": gflops()}
    sys.stdout.write(json.dumps(rates))
