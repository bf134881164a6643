"""A template that is asked for by name, beside a script of its own or of another kind."""

from __future__ import annotations

from dispatcher.jobfile.starter import from_template, render

FITS = """from sklearn.ensemble import RandomForestClassifier
RandomForestClassifier(n_estimators=77).fit(X, y)
"""


def test_a_script_of_another_kind_fills_nothing_into_a_template(tmp_path):
    (tmp_path / "train.py").write_text(FITS)
    assert None is from_template("vision", tmp_path).survey.script
    shown = render(from_template("vision", tmp_path))
    assert "no script was found here" in shown
    assert "RandomForest" not in shown


def test_a_script_of_that_kind_fills_its_template(tmp_path):
    (tmp_path / "train.py").write_text(FITS)
    assert "train.py" == from_template("tabular", tmp_path).survey.script
    assert "77" in render(from_template("tabular", tmp_path))
