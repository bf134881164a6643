"""config.yaml, the environment over it, and where each value comes from."""

from __future__ import annotations

import os

import pytest

from dispatcher import paths
from dispatcher.errors import JobFileError
from dispatcher.jobfile.settings import load_settings, read_settings, show

CONFIG = """\
hosts: {desk: {ssh: lab-desk, share: idle}, big: {ssh: me@10.0.0.7}}
aws: {profile: me, regions: [us-east-1], subnet: subnet-1, role: trainer}
gcp: {project: p-1, regions: europe-west4}
limits: {per_run: 20, per_month: 100}
local: {headroom: 20%, keep_awake: false}
"""


@pytest.fixture
def config(tmp_path):
    def write(text=CONFIG):
        file = tmp_path / "config.yaml"
        file.write_text(text)
        return file

    return write


def told(*args):
    with pytest.raises(JobFileError) as caught:
        load_settings(*args)
    return [(one.line, one.path, one.message, one.fix) for one in caught.value.problems]


def test_the_contracts_example_is_read(config):
    found = load_settings(config(), {})
    assert ("lab-desk", "idle", "always") == (found.hosts["desk"].ssh, found.hosts["desk"].share, found.hosts["big"].share)
    assert ("me", ("us-east-1",), ("europe-west4",)) == (found.aws.profile, found.aws.regions, found.gcp.regions)
    assert (20, 100, 0.2, False) == (
        found.limits.per_run, found.limits.per_month, found.local.headroom, found.local.keep_awake
    )  # fmt: skip


def test_no_file_is_the_defaults():
    found = load_settings(environment={})
    assert (0.1, True, {}, None) == (found.local.headroom, found.local.keep_awake, found.hosts, found.limits.per_run)


def test_an_empty_file_is_the_defaults(config):
    assert load_settings(environment={}) == load_settings(config("# nothing yet\n"), {})


def test_it_is_looked_for_in_the_configuration_folder():
    paths.config_dir().mkdir(parents=True)
    (paths.config_dir() / "config.yaml").write_text("limits: {per_run: 3}\n")
    assert 3 == load_settings(environment={}).limits.per_run


def test_the_environment_comes_before_the_file(config):
    found = read_settings(
        config(), {"DISPATCHER_LIMITS_PER_RUN": "5", "DISPATCHER_AWS_REGIONS": "a,b", "DISPATCHER_LOCAL_KEEP_AWAKE": "true"}
    )
    assert (5, ("a", "b"), True) == (found.settings.limits.per_run, found.settings.aws.regions, found.settings.local.keep_awake)
    assert "DISPATCHER_LIMITS_PER_RUN" == found.origins["limits.per_run"]


def test_every_setting_is_shown_with_its_origin(config):
    rows = {name: (value, origin) for name, value, origin in show(config(), {"DISPATCHER_AWS_PROFILE": "you"})}
    assert ("ssh lab-desk, idle", "line 1") == rows["hosts.desk"]
    assert ("you", "DISPATCHER_AWS_PROFILE") == rows["aws.profile"]
    assert (100, "line 4") == rows["limits.per_month"]
    assert (None, "default") == rows["gcp.subnet"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("limit: {per_run: 3}", (1, "limit", "unknown setting.", "Did you mean 'limits'?")),
        ("hosts: {desk: {ssj: a}}", (1, "hosts.desk.ssj", "unknown setting under hosts.desk.", "Did you mean 'ssh'?")),
        ("hosts: {desk: a}", (1, "hosts.desk", "'a' cannot stand here.", "")),
        (
            "hosts: {desk: {share: idle}}",
            (1, "hosts.desk.ssh", "ssh is missing.", "It is the host's name in the ssh configuration, or user@host."),
        ),
        (
            "hosts: {desk: {ssh: -oProxyCommand=x}}",
            (1, "hosts.desk.ssh", "'-oProxyCommand=x' is not one word: letters, digits, - _ . @ : /.", ""),
        ),
        ("local: {headroom: 200%}", (1, "local.headroom", "2.0 is not a share from 0 to 90 %.", "Write 20% or 0.2.")),
        ("local: {headroom: -1}", (1, "local.headroom", "-1 is not a share from 0 to 90 %.", "Write 20% or 0.2.")),
        ("limits: {per_run: 0}", (1, "limits.per_run", "0 is not a number above 0.", "")),
        (
            "limits: {per_run: $20}",
            (1, "limits.per_run", "'$20' is not a number above 0.", "Write the number alone, without quotes or unit."),
        ),
        ("limits: 3", (1, "limits", "limits is a section.", "Write its settings below it, indented.")),
        ("- a", (1, "", "config.yaml is settings with their values.", "")),
    ],
)
def test_a_wrong_setting_is_told_as_in_a_job_file(config, text, expected):
    found = told(config(text + "\n"), {})
    assert [expected] == [found[0] if expected[0] else (0, *found[0][1:])]


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("DISPATCHER_LIMITS_PER_RUN", "many", "'many' is not a number above 0."),
        ("DISPATCHER_LIMITS_PERRUN", "3", "DISPATCHER_LIMITS_PERRUN is no setting."),
        ("DISPATCHER_AWS_REGION", "x", "DISPATCHER_AWS_REGION is no setting."),
    ],
)
def test_a_wrong_variable_is_told(config, name, value, message):
    assert [message] == [one[2] for one in told(config(), {name: value})]


def test_variables_of_ours_that_are_no_settings_do_not_matter(config):
    other = {"DISPATCHER_HOME": "/x", "DISPATCHER_RUN_ID": "7", "DISPATCHER_GCP_ENDPOINT": "http://127.0.0.1", "PATH": "/bin"}
    assert load_settings(config(), {}) == load_settings(config(), other)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_told(config):
    file = config()
    file.chmod(0)
    assert "cannot be read" in told(file, {})[0][2]


def test_a_folder_in_its_place_is_told(tmp_path):
    assert "cannot be read" in told(tmp_path, {})[0][2]


def test_a_broken_file_is_told_with_its_line(config):
    assert 2 == told(config("aws: {}\nlimits: [\n"), {})[0][0]
