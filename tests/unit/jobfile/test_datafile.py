"""Data files: what is counted, and what never blocks or breaks a plan."""

from __future__ import annotations

import base64
import gzip
import os
import socket
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from dispatcher.jobfile import datafile
from dispatcher.jobfile.datafile import DataFile, describe

# Written by pyarrow 26.0.1: columns a (int8), b (text), c (a struct of p and q); three rows.
PARQUET = base64.b85decode(
    "P(e~L6#x|^6(lSb1{DAm1{DSz00002000060RaF200IC200RI302KfgDita$6$TXm6$TXs8~^|S0ssI21_1#8004La0001a0RR91dKCZ_JQX}F"
    "6$TXm6$TXs8~^|S0ssI21_A*90000000031000000003100000000#L6+9I@EENV702Kxm1{?qY00IC200sgA0000000002000000000200000"
    "0000L1Q~2K02l^yV`yb<VHE}d6#^v!7y)4=9!#tg2oV4P02K@+0vG{eB>+qu0000r0vG{f6$Ahk1SJ9(0dN2n1SJ9(0dW8p1{oX~OeO#v6#^M0"
    "1^^it0bvyY76ukd7D^@vNgNdb6#x|i06ZxM872S*0000c02~zz86^e)85jX#6#y0n7El&YCQ?Zp6#x|g6#@V}76usx872S*0000c02~zr86^e)"
    "87Ki`0dN%n76uk#7Gfr%0ZAMc02Kfg0suTI1{pR000sa6044w&6$BY21^^i-0b>Di6#y0n7Gf4+CWHb>92Ec+02KlNJShelHUIzy0000M-U1c|"
    "CI}YZ0str=aA9(Bb!BudV{mXSVRCYBcOZ6Ua&u{KZXhx?E-)@J8B81i02}}S8~^|u0000y0RR9{K~ga"
)


def test_a_table_has_its_header_for_columns_and_its_other_lines_for_rows(tmp_path: Path) -> None:
    text = 'age,"height, cm",weight\n' + "30,180,75\n" * 500
    (tmp_path / "a.csv").write_text(text)
    assert DataFile(len(text), 500, 3) == describe(tmp_path / "a.csv")


@pytest.mark.parametrize(("end", "rows"), [("", 2), ("\n", 2)])
def test_a_last_line_counts_with_and_without_its_end(tmp_path: Path, end: str, rows: int) -> None:
    (tmp_path / "a.tsv").write_text("a\tb\n1\t2\n3\t4" + end)
    found = describe(tmp_path / "a.tsv")
    assert (rows, 2) == (found.samples, found.columns)


def test_a_large_table_is_sampled_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datafile, "EXACT", 1_000_000)
    lines = [f"{number},{'x' * (number % 17)}\n" for number in range(300_000)]
    (tmp_path / "a.csv").write_text("a,b\n" + "".join(lines))
    found = describe(tmp_path / "a.csv")
    assert found.how == "sampled"
    assert found.samples == pytest.approx(300_000, rel=0.02)


@pytest.mark.parametrize("shape", [(7,), (7, 3), (7, 3, 2)])
def test_an_array_tells_its_shape_in_its_header(tmp_path: Path, shape: tuple[int, ...]) -> None:
    np.save(tmp_path / "a.npy", np.zeros(shape))
    found = describe(tmp_path / "a.npy")
    assert (7, 3 if len(shape) == 2 else None) == (found.samples, found.columns)


def test_of_an_archive_of_arrays_the_table_is_told(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", y=np.zeros(40), x=np.zeros((40, 9)))
    found = describe(tmp_path / "a.npz")
    assert (40, 9) == (found.samples, found.columns)


def test_a_parquet_file_tells_rows_and_leaf_columns_in_its_footer(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(PARQUET)
    assert DataFile(len(PARQUET), 3, 4) == describe(tmp_path / "a.parquet")


@pytest.mark.parametrize("cut", range(0, len(PARQUET) - 12, 7))
def test_a_damaged_parquet_file_is_told_and_breaks_nothing(tmp_path: Path, cut: int) -> None:
    at = len(PARQUET) - 12 - cut
    damaged = PARQUET[:at] + bytes([PARQUET[at] ^ 0xFF]) + PARQUET[at + 1 :]
    (tmp_path / "a.parquet").write_bytes(damaged)
    (tmp_path / "b.parquet").write_bytes(PARQUET[:at])
    found = describe(tmp_path / "a.parquet")
    assert found.size == len(PARQUET)
    assert found.samples is None or found.samples < 2**63
    assert "damaged" in describe(tmp_path / "b.parquet").trouble


def test_a_footer_that_claims_to_be_huge_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1" + b"x" * 100 + struct.pack("<I", 2**32 - 1) + b"PAR1")
    assert "no Parquet" in describe(tmp_path / "a.parquet").trouble


def test_json_lines_are_counted_and_packed_files_only_weighed(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"a": 1}\n' * 12)
    with gzip.open(tmp_path / "a.csv.gz", "wb") as file:
        file.write(b"a,b\n1,2\n")
    assert 12 == describe(tmp_path / "a.jsonl").samples
    packed = describe(tmp_path / "a.csv.gz")
    assert (None, None, "") == (packed.samples, packed.columns, packed.trouble)
    assert packed.size == (tmp_path / "a.csv.gz").stat().st_size


def test_a_folder_of_images_counts_them_and_one_of_tables_adds_them_up(tmp_path: Path) -> None:
    for number in range(6):
        (tmp_path / "photos" / str(number % 2)).mkdir(parents=True, exist_ok=True)
        (tmp_path / "photos" / str(number % 2) / f"{number}.JPG").write_bytes(b"x" * 100)
        (tmp_path / "parts").mkdir(exist_ok=True)
        (tmp_path / "parts" / f"{number}.csv").write_text("a,b\n1,2\n3,4\n")
    (tmp_path / "photos" / "again").symlink_to(tmp_path / "photos")
    assert DataFile(600, 6) == describe(tmp_path / "photos")
    assert (12, 2) == (describe(tmp_path / "parts").samples, describe(tmp_path / "parts").columns)


def test_a_pipe_is_told_and_never_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.csv")
    assert "is a pipe, not a file" == describe(tmp_path / "a.csv").trouble


@pytest.mark.enable_socket
def test_a_socket_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as one:
        one.bind("a.csv")
        assert "is a socket, not a file" == describe(tmp_path / "a.csv").trouble


def test_what_is_not_there_empty_or_a_loop_is_told(tmp_path: Path) -> None:
    (tmp_path / "empty.csv").touch()
    (tmp_path / "loop.csv").symlink_to("loop.csv")
    (tmp_path / "gone.csv").symlink_to("nothing")
    (tmp_path / "folder.csv").mkdir()
    told = {name: describe(tmp_path / f"{name}.csv").trouble for name in ("empty", "loop", "gone", "folder", "none")}
    assert told == {
        "empty": "is empty",
        "loop": "is a loop of links",
        "gone": "is a link to nothing",
        "folder": "is an empty folder",
        "none": "does not exist",
    }
    assert "cannot be read" in describe(tmp_path / ("x" * 500)).trouble
    assert "cannot be read" in describe(Path("a\0b")).trouble


@pytest.mark.parametrize("name", ["a.npy", "a.npz", "a.parquet", "a.pq"])
@pytest.mark.parametrize("content", [b"x", b"\x93NUMPY\x01\x00\x05\x00{'a':", b"PK\x03\x04" + b"\0" * 40, bytes(range(256))])
def test_what_is_damaged_is_told(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    found = describe(tmp_path / name)
    assert found.trouble
    assert (len(content), None) == (found.size, found.samples)


def test_an_archive_whose_arrays_are_none_is_told(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("a.npy", b"not an array")
    assert "damaged" in describe(tmp_path / "a.npz").trouble


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a\n1\n")
    (tmp_path / "a.csv").chmod(0)
    assert "may not be read by you" == describe(tmp_path / "a.csv").trouble


@pytest.mark.parametrize("name", ["noise.csv", "noise.tsv", "noise.jsonl"])
def test_bytes_that_are_no_text_are_not_counted_as_rows(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(bytes(range(256)) * 999)
    found = describe(tmp_path / name)
    assert (None, None, None) == (found.size, found.samples, found.columns)
    assert "not text" in found.trouble


def test_text_in_another_encoding_is_still_a_table(tmp_path: Path) -> None:
    (tmp_path / "prices.csv").write_bytes("Straße;Größe\n".encode("latin-1") * 5)
    assert 4 == describe(tmp_path / "prices.csv").samples


def test_headings_without_rows_invent_no_figures(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"{number}.csv").write_text("a,b,c\n")
    for place in (tmp_path, tmp_path / "0.csv"):
        found = describe(place)
        assert not found.size
        assert not found.samples
        assert "no rows" in found.trouble
