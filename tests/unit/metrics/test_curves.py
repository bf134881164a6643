import json
import struct

import pytest

from dispatcher.metrics.found import curves_in
from dispatcher.metrics.series import series_of, thinned


def test_json_lines_are_counted_by_their_step(tmp_path):
    rows = [{"step": 10 * n, "loss": 1 / (n + 1), "note": "x", "time": n} for n in range(5)]
    (tmp_path / "m.jsonl").write_text("\n".join(map(json.dumps, rows)) + '\n{"step": 50, "lo')
    (found,) = curves_in(tmp_path, ["m.jsonl"])
    assert ("loss", "step", (0.0, 1.0), (40.0, 0.2), 5) == (found.name, found.axis, found.first, found.last, found.count)


def test_tables_have_a_curve_for_each_column_of_numbers(tmp_path):
    (tmp_path / "log.csv").write_text("epoch,acc,word\n0,0.5,a\n1,0.7,b\n2,nan,c\n")
    assert [("acc", "epoch", 2)] == [(one.name, one.axis, one.count) for one in curves_in(tmp_path, ["log.csv"])]


def test_rows_without_a_count_are_counted_by_their_number(tmp_path):
    (tmp_path / "m.jsonl").write_text('{"loss": 2}\n{"loss": 1}\n')
    assert ((0.0, 2.0), (1.0, 1.0)) == curves_in(tmp_path, ["m.jsonl"])[0].points


def test_of_a_trainers_checkpoints_the_longest_history_counts(tmp_path):
    for steps in (2, 4):
        folder = tmp_path / f"checkpoint-{steps}"
        folder.mkdir()
        history = [{"step": n, "loss": 1.0 * n, "epoch": n / 2} for n in range(steps)]
        (folder / "trainer_state.json").write_text(json.dumps({"log_history": history}))
    found = curves_in(tmp_path, ["checkpoint-2/trainer_state.json", "checkpoint-4/trainer_state.json"])
    assert [("loss", 4)] == [(one.name, one.count) for one in found]


def field(number: int, kind: int, data: bytes) -> bytes:
    return bytes([number << 3 | kind]) + (bytes([len(data)]) + data if kind == 2 else data)


def record(step: int, tag: str, value: float, *, tensor: bool = False) -> bytes:
    number = struct.pack("<f", value)
    held = field(8, 2, field(1, 0, b"\x01") + field(5, 2, number)) if tensor else field(2, 5, number)
    event = (
        field(1, 1, struct.pack("<d", 1e9))
        + field(2, 0, bytes([step]))
        + field(5, 2, field(1, 2, field(1, 2, tag.encode()) + held))
    )
    return struct.pack("<Q", len(event)) + b"\0\0\0\0" + event + b"\0\0\0\0"


def test_event_files_are_read_up_to_a_torn_record(tmp_path):
    whole = b"".join(record(n, "loss", n / 2) + record(n, "eval/acc", n / 4, tensor=True) for n in range(4))
    (tmp_path / "events.out.tfevents.1.host").write_bytes(whole + record(5, "loss", 9.0)[:-3])
    found = {one.name: one.points for one in curves_in(tmp_path, ["events.out.tfevents.1.host"])}
    assert ((0.0, 0.0), (1.0, 0.25), (2.0, 0.5), (3.0, 0.75)) == found["eval/acc"]
    assert (3.0, 1.5) == found["loss"][-1]


@pytest.mark.parametrize("name", ["m.jsonl", "m.csv", "trainer_state.json", "a.tfevents.b"])
@pytest.mark.parametrize("content", [b"", b"\0\xff" * 500, b"[1, 2", b"{}", b"null", b'{"log_history": 3}', b"[" * 9000])
def test_files_that_hold_no_curves_have_none(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    assert [] == curves_in(tmp_path, [name])


def test_what_is_gone_or_of_another_kind_is_passed_over(tmp_path):
    (tmp_path / "model.pt").write_bytes(b"x")
    assert [] == curves_in(tmp_path, ["model.pt", "gone.csv"])


def test_a_long_curve_keeps_its_ends_and_extremes():
    points = [(float(x), float((x * 7919) % 1000)) for x in range(10_000)]
    points[5000] = (5000.0, -5.0)
    kept = thinned(points, 400)
    assert len(kept) <= 400
    assert (points[0], points[-1]) == (kept[0], kept[-1])
    assert (5000.0, -5.0) in kept
    assert kept == sorted(kept)


def test_values_that_are_no_numbers_leave_no_curve():
    assert series_of("loss", "f", "step", [(0, float("nan")), (1, 1.0)]) is None
