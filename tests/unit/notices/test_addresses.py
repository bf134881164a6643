"""What is written down of an address, and where it is found."""

from __future__ import annotations

import pytest

from dispatcher.jobfile.load import load
from dispatcher.notices.addresses import Address, addresses, of_record, record_of, text_without

URL = "json://me:hunter2@127.0.0.1:9/tok3n"


@pytest.fixture
def written(tmp_path):
    def write(text):
        file = tmp_path / "train.yaml"
        file.write_text(f"run: 'true'\n{text}")
        return load(file)

    return write


@pytest.mark.parametrize(
    "text",
    [
        f"notify: {URL}\n",
        f'notify: ["{URL}", desktop]\n',
        f"notify:\n  - desktop\n\n  - {URL}\nwhere: local\n",
        f"notify: [{URL}, {URL}/more]\n",
        'notify: "json://me:hunte\\x72\\x32@127.0.0.1:9/tok\\x33n"\nwhere: local\n',
        'notify:\n- "json://me:hunter\\\n  2@127.0.0.1:9/tok3n"\nwhere: local\n',
    ],
)
def test_nothing_that_is_kept_of_a_job_holds_an_address(written, text):
    loaded = written(text)
    kept = text_without(loaded) + str(record_of(loaded))
    assert [] == [word for word in ("hunte", "tok3n", "x72") if word in kept]
    assert "run: 'true'" in text_without(loaded)
    assert ("where: local" in text) == ("where: local" in text_without(loaded))


def test_a_job_without_an_address_is_kept_as_it_is(written):
    loaded = written("notify: [desktop, NOTIFY_URL]  # us\n")
    assert loaded.text == text_without(loaded)
    assert ["desktop", "NOTIFY_URL"] == record_of(loaded)["notify"]["to"]
    assert {} == record_of(written(""))


def test_from_its_record_a_run_finds_its_addresses_again(written, tmp_path, monkeypatch):
    monkeypatch.delenv("NOTIFY_URL", raising=False)
    record = record_of(written(f"notify: [desktop, '{URL}', NOTIFY_URL]\n"))
    (tmp_path / ".env").write_text(f"NOTIFY_URL='{URL} ntfy://topic'\n")
    assert ["desktop", URL, URL, "ntfy://topic"] == [one.url for one in of_record(record)]
    assert ["desktop", "json://…", "NOTIFY_URL", "NOTIFY_URL"] == [one.shown for one in of_record(record)]


def test_what_is_not_to_be_found_any_more_is_said(written, tmp_path):
    record = record_of(written(f"notify: ['{URL}', NOTIFY_URL]\n"))
    (tmp_path / "train.yaml").write_text("run: x\nnotify: ['ntfy://other']\n")
    first, second = of_record(record)
    assert Address("json://…", why="train.yaml does not name it any more") == first
    assert ("", "NOTIFY_URL", True) == (second.url, second.shown, "is in none of" in second.why)
    assert [] == list(of_record({"file": "x"}))
    assert ["desktop"] == [one.url for one in addresses(["desktop"], tmp_path)]
