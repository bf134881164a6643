"""No form of a secret is displayed, wherever the stream is cut."""

from __future__ import annotations

import base64
import json
import random
import re
from urllib.parse import quote, quote_plus

import pytest

from dispatcher.app.redact import Redactor

SECRET = "hf_Qz/7+k e&ü=9"
SPELLED = {
    "plain": SECRET.encode(),
    "in a URL": quote(SECRET, safe="").encode(),
    "in a query": quote_plus(SECRET).encode(),
    "in a URL, small letters": re.sub("%..", lambda one: one[0].lower(), quote(SECRET, safe="")).encode(),
    "in JSON": json.dumps([SECRET]).encode(),
    "in base64": base64.b64encode(SECRET.encode()),
    "in a URL's base64": base64.urlsafe_b64encode(SECRET.encode()),
    "in a login": base64.b64encode(b"u:" + SECRET.encode()),
    "in a longer login": base64.b64encode(b"user:" + SECRET.encode() + b"\n"),
    "in another": base64.b64encode(b"me:" + SECRET.encode() + b" more"),
}


def shown(raw: bytes, size: int) -> bytes:
    one = Redactor([SECRET])
    return b"".join(one.feed(raw[at : at + size]) for at in range(0, len(raw), size)) + one.rest()


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize("form", SPELLED)
def test_every_form_is_hidden_wherever_the_stream_is_cut(form, size):
    said = shown(b"begin " + SPELLED[form] + b" end", size)
    assert said.startswith(b"begin ")
    assert said.endswith(b" end")
    assert b"***" in said
    middle = len(SPELLED[form]) // 2
    assert SPELLED[form][middle - 4 : middle + 4] not in said


def test_everything_else_passes_byte_for_byte():
    raw = random.Random(1).randbytes(50_000) + b"hf_Qz/7 hf_ hf_Q" + SECRET.encode()[:-1]
    assert raw == shown(raw, 613)


def test_a_secret_of_several_lines_is_hidden_line_by_line():
    key = "-----BEGIN KEY-----\nMIIabcdefgh\nqrstuvwxyz12\n-----END KEY-----"
    assert "*** and ***" == Redactor([key]).line("MIIabcdefgh and qrstuvwxyz12")


def test_what_is_too_short_is_left_and_nothing_to_hide_changes_nothing():
    assert b"yes abc" == Redactor(["yes", ""]).feed(b"yes abc")
    assert not Redactor(["yes"])
