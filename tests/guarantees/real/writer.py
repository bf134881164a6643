"""A job that writes awkward bytes, at least so many, until it is told to stop; then tells their count and hash beside."""

import hashlib
import random
import sys
import time
from pathlib import Path

PIECES = (
    bytes(range(256)),
    b"\r 50 %\r100 %\r\n",
    b"\x1b]0;title\x07\x1b[2J\x1bP+q\x1b\\",
    "ünïcödé 模型 🚀".encode(),
    b"\xff\xfe\xc3\x28\xf0\x28\x8c\x28",
    b"\0" * 97,
    b"\n" * 31,
    b"no end of line",
)


def main(folder: Path, least: int, rate: float) -> int:
    dice, digest, size = random.Random(7), hashlib.sha256(), 0
    while size < least or not (folder / "enough").exists():
        data = b"".join(dice.choice(PIECES) for _ in range(64)) + dice.randbytes(dice.randrange(1, 20_000))
        data = data * 4 if dice.random() < 0.2 else data
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        digest.update(data)
        size += len(data)
        if rate:
            time.sleep(len(data) / rate)
    (folder / "truth").write_text(f"{size} {digest.hexdigest()}")
    return 23


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
