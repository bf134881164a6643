import stat
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dispatcher.errors import HostError
from dispatcher.scheduling import units
from dispatcher.scheduling.wakers import Cron, SystemdUser, waker

AT = datetime(2026, 11, 22, 0, 0, tzinfo=UTC)
CRONTAB = """#!/bin/sh
[ "$1" = -l ] && { cat "$HOME/crontab" 2>/dev/null; exit; }
cat > "$HOME/crontab"
"""
SYSTEMCTL = """#!/bin/sh
echo "$*" >> "$HOME/systemctl.log"
"""


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home, and a PATH with nothing but what the test puts there."""
    (tmp_path / "bin").mkdir()
    for name in ("cat", "sh"):
        (tmp_path / "bin" / name).symlink_to(f"/bin/{name}")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    return tmp_path


def program(home: Path, name: str, text: str) -> None:
    file = home / "bin" / name
    file.write_text(text)
    file.chmod(file.stat().st_mode | stat.S_IXUSR)


def test_without_any_scheduler_it_is_said(home, monkeypatch):
    monkeypatch.setattr("sys.platform", "linux")
    with pytest.raises(HostError, match="neither a systemd user manager nor cron"):
        waker()


def test_cron_gets_one_line_and_keeps_what_others_wrote(home):
    program(home, "crontab", CRONTAB)
    (home / "crontab").write_text("0 5 * * * backup\n")
    Cron().wake("abc", AT, "a job")
    Cron().wake("def", AT, "another")
    lines = (home / "crontab").read_text().splitlines()
    assert ("0 5 * * * backup", 2) == (lines[0], len(lines))
    assert lines[1].startswith("*/5 * * * * env ")
    assert lines[1].endswith("-m dispatcher schedule due >/dev/null 2>&1 # mlrun-schedule")
    Cron().forget("abc", last=False)
    assert 2 == len((home / "crontab").read_text().splitlines())
    Cron().forget("def", last=True)
    assert ["0 5 * * * backup"] == (home / "crontab").read_text().splitlines()


def test_a_percent_sign_does_not_end_a_cron_command():
    assert r"100\%" in units.cron_line(["mlrun"], {"X": "100%"})


def test_a_timer_is_written_enabled_and_removed(home):
    program(home, "systemctl", SYSTEMCTL)
    SystemdUser().wake("abc", AT, "train.yaml")
    folder = home / ".config/systemd/user"
    timer, service = (folder / "mlrun-abc.timer").read_text(), (folder / "mlrun-abc.service").read_text()
    assert "OnCalendar=2026-11-22 00:00:00 UTC\n" in timer
    assert "Persistent=true\n" in timer
    assert '"-m" "dispatcher" "schedule" "due" "abc"\n' in service
    assert 0o600 == stat.S_IMODE((folder / "mlrun-abc.service").stat().st_mode)
    assert "--user enable mlrun-abc.timer" in (home / "systemctl.log").read_text()
    SystemdUser().forget("abc", last=True)
    assert [] == list(folder.iterdir())


def test_a_scheduler_that_refuses_is_quoted(home):
    program(home, "systemctl", "#!/bin/sh\necho 'no bus' >&2; exit 1\n")
    with pytest.raises(HostError, match="no bus"):
        SystemdUser().wake("abc", AT, "train.yaml")


def test_words_of_a_unit_are_quoted_as_systemd_reads_them(tmp_path):
    text = units.systemd_service(["/a b/python", 'x"y', "50%", "$HOME"], {"A": "1 $2 %3"}, "a %job\nname")
    assert 'ExecStart="/a b/python" "x\\"y" "50%%" "$$HOME"\n' in text
    assert 'Environment="A=1 $2 %%3"\n' in text
    assert "Description=mlrun: a %%job name\n" in text


def test_systemd_accepts_the_units(tmp_path):
    if not Path("/usr/bin/systemd-analyze").exists():
        pytest.skip("systemd-analyze is not here")
    (tmp_path / "mlrun-x.service").write_text(units.systemd_service(["/bin/true", "50%", "a b"], {"A": "b c"}, "x"))
    (tmp_path / "mlrun-x.timer").write_text(units.systemd_timer(AT, "x"))
    files = [str(tmp_path / "mlrun-x.timer"), str(tmp_path / "mlrun-x.service")]
    done = subprocess.run(["/usr/bin/systemd-analyze", "verify", *files], capture_output=True, text=True, check=False)
    assert [] == [line for line in done.stderr.splitlines() if "mlrun-x" in line]


def test_the_agent_for_launchd_is_a_property_list_of_one_moment():
    import plistlib

    told = plistlib.loads(units.launchd_agent("mlrun-x", ["/a b/python", "-m", "x<y"], {"A": "1&2"}, AT).encode())
    local = AT.astimezone()
    assert {"Month": local.month, "Day": local.day, "Hour": local.hour, "Minute": local.minute} == told["StartCalendarInterval"]
    assert (["/a b/python", "-m", "x<y"], {"A": "1&2"}) == (told["ProgramArguments"], told["EnvironmentVariables"])
