"""Settings of which a part is wrong: the rest holds where runs are only looked after."""

from __future__ import annotations

import pytest

from dispatcher.jobfile.settings import Settings, sound_settings


def test_settings_without_a_problem_hold_whole(tmp_path):
    (tmp_path / "c.yaml").write_text("aws: {profile: work}\n")
    found, error = sound_settings(tmp_path / "c.yaml", {})
    assert ("work", None) == (found.aws.profile, error)


def test_a_wrong_section_is_left_out_and_the_others_hold(tmp_path):
    (tmp_path / "c.yaml").write_text("aws: {profile: work}\nlimits: {per_run: -3}\nasw: 3\n")
    found, error = sound_settings(tmp_path / "c.yaml", {"DISPATCHER_LIMITS_PER_MONTH": "5", "DISPATCHER_AWS_SUBNET": "s-1"})
    assert ("work", "s-1", None, None) == (found.aws.profile, found.aws.subnet, found.limits.per_run, found.limits.per_month)
    assert ["limits.per_run", "asw"] == [one.path for one in error.problems]


def test_a_variable_that_is_no_setting_is_left_out(tmp_path):
    found, error = sound_settings(tmp_path / "none.yaml", {"DISPATCHER_AWS_PROFLE": "x", "DISPATCHER_AWS_PROFILE": "work"})
    assert ("work", 1) == (found.aws.profile, len(error.problems))


@pytest.mark.parametrize("text", ["limits: {per_run: [\n", "- 3\n", "\0"])
def test_of_a_file_that_is_no_settings_nothing_holds(tmp_path, text):
    (tmp_path / "c.yaml").write_text(text)
    found, error = sound_settings(tmp_path / "c.yaml", {})
    assert Settings.model_construct() == found
    assert error is not None
