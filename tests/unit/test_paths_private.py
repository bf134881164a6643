"""Files for their owner's eyes."""

from __future__ import annotations

import stat

from dispatcher.paths import write_private


def test_a_private_file_is_read_by_nobody_else_even_where_another_stood(tmp_path):
    file = tmp_path / "receipt.json"
    file.write_text("something longer, that everybody could read")
    file.chmod(0o644)
    write_private(file, "ü")
    assert ("ü", 0o600) == (file.read_text(encoding="utf-8"), stat.S_IMODE(file.stat().st_mode))
