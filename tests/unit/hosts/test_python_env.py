"""Which Python a job gets."""

from __future__ import annotations

import shutil
import subprocess

from dispatcher.hosts.python_env import first_on_path, job_python, version_of, without_own


def environment(prefix, version="3.12.4", names=("python",)):
    """An environment as `python -m venv` makes it, with a program in place of the interpreter."""
    (prefix / "bin").mkdir(parents=True)
    (prefix / "pyvenv.cfg").write_text(f"home = /usr/bin\ninclude-system-site-packages = false\nversion = {version}\n")
    for name in names:
        path = prefix / "bin" / name
        path.write_text("#!/bin/sh\n")
        path.chmod(0o755)
    return prefix


def search(*folders):
    return ":".join(str(folder) for folder in folders)


def test_the_active_environment_comes_first(tmp_path):
    active, job = environment(tmp_path / "active"), tmp_path / "job"
    environment(job / ".venv")
    found = job_python(job, {"VIRTUAL_ENV": str(active), "PATH": search(active / "bin")}, own_prefix=str(tmp_path / "own"))
    assert (active / "bin/python", "active", active / "bin", "3.12.4") == (found.path, found.kind, found.bin_dir, found.version)


def test_a_conda_environment_is_active_too(tmp_path):
    conda = environment(tmp_path / "conda")
    found = job_python(tmp_path, {"CONDA_PREFIX": str(conda), "PATH": ""}, own_prefix="/nowhere")
    assert ("active", conda / "bin/python") == (found.kind, found.path)


def test_then_the_folders_own_environment(tmp_path):
    other = environment(tmp_path / "other")
    environment(tmp_path / "job/.venv")
    found = job_python(tmp_path / "job", {"PATH": search(other / "bin")}, own_prefix="/nowhere")
    assert ("venv", tmp_path / "job/.venv/bin/python") == (found.kind, found.path)


def test_then_the_first_on_path(tmp_path):
    first, second = environment(tmp_path / "a"), environment(tmp_path / "b")
    found = job_python(tmp_path, {"PATH": search(tmp_path / "missing", first / "bin", second / "bin")}, own_prefix="/nowhere")
    assert ("path", first / "bin/python") == (found.kind, found.path)


def test_a_system_with_python3_only_has_a_python(tmp_path):
    place = environment(tmp_path / "a", names=("python3",))
    assert place / "bin/python3" == job_python(tmp_path, {"PATH": search(place / "bin")}, own_prefix="/nowhere").path


def test_mlruns_own_environment_on_path_without_activation_is_passed_over(tmp_path):
    own, other = environment(tmp_path / "own"), environment(tmp_path / "other")
    found = job_python(tmp_path, {"PATH": search(own / "bin", other / "bin")}, own_prefix=str(own))
    assert other / "bin/python" == found.path


def test_mlruns_own_environment_is_used_when_the_user_activated_it(tmp_path):
    own = environment(tmp_path / "own")
    found = job_python(tmp_path, {"VIRTUAL_ENV": str(own), "PATH": search(own / "bin")}, own_prefix=str(own))
    assert ("active", own / "bin/python") == (found.kind, found.path)


def test_a_launcher_that_only_sets_the_variable_does_not_activate(tmp_path):
    own, other = environment(tmp_path / "own"), environment(tmp_path / "other")
    found = job_python(tmp_path, {"VIRTUAL_ENV": str(own), "PATH": search(other / "bin")}, own_prefix=str(own))
    assert ("path", other / "bin/python") == (found.kind, found.path)


def test_a_link_to_mlruns_own_environment_is_seen_through(tmp_path):
    own = environment(tmp_path / "own")
    (tmp_path / "link").symlink_to(own)
    assert job_python(tmp_path, {"PATH": search(tmp_path / "link/bin")}, own_prefix=str(own)) is None


def test_a_venv_in_the_jobs_folder_is_the_projects_even_with_mlrun_in_it(tmp_path):
    own = environment(tmp_path / "job/.venv")
    assert "venv" == job_python(tmp_path / "job", {"PATH": ""}, own_prefix=str(own)).kind


def test_an_environment_that_was_deleted_is_passed_over(tmp_path):
    other = environment(tmp_path / "other")
    found = job_python(tmp_path, {"VIRTUAL_ENV": str(tmp_path / "gone"), "PATH": search(other / "bin")}, own_prefix="/nowhere")
    assert other / "bin/python" == found.path


def test_a_python_that_may_not_be_run_is_passed_over(tmp_path):
    broken = environment(tmp_path / "job/.venv")
    (broken / "bin/python").chmod(0o644)
    assert job_python(tmp_path / "job", {"PATH": ""}, own_prefix="/nowhere") is None


def test_the_version_is_read_from_what_venv_and_uv_write(tmp_path):
    environment(tmp_path / "venv", "3.11.7")
    uv = environment(tmp_path / "uv")
    (uv / "pyvenv.cfg").write_text("home = /x\nuv = 0.9\nversion_info = 3.13.1.final.0\n")
    assert ("3.11.7", "3.13.1", "") == tuple(version_of(tmp_path / name) for name in ("venv", "uv", "none"))


def test_a_name_that_the_system_lacks_is_made_for_the_job_and_starts_the_same_python(tmp_path):
    place = environment(tmp_path / "it's", names=("python3",))
    (place / "bin/python3").write_text('#!/bin/sh\necho "python3 of the place: $1"\n')
    found = job_python(tmp_path, {"PATH": search(place / "bin")}, own_prefix="/nowhere")
    path = first_on_path(found, tmp_path / "names")
    assert search(tmp_path / "names", place / "bin") == path
    for name in ("python", "python3"):
        said = subprocess.run([shutil.which(name, path=path), "a b"], stdout=subprocess.PIPE, check=True).stdout
        assert b"python3 of the place: a b\n" == said


def test_an_environment_with_both_names_needs_none(tmp_path):
    place = environment(tmp_path / "job/.venv", names=("python", "python3"))
    found = job_python(tmp_path / "job", {"PATH": ""}, own_prefix="/nowhere")
    assert str(place / "bin") == first_on_path(found, tmp_path / "names")
    assert not (tmp_path / "names").exists()
    assert "" == first_on_path(None, tmp_path / "names")


def test_mlruns_own_environment_is_on_a_jobs_path_only_where_it_is_the_jobs(tmp_path):
    own, other = environment(tmp_path / "own"), environment(tmp_path / "other")
    environ = {"PATH": search(own / "bin", other / "bin", "/bin")}
    found = job_python(tmp_path, environ, own_prefix=str(own))
    assert {"PATH": search(other / "bin", "/bin")} == without_own(found, environ, own_prefix=str(own))
    assert {"PATH": search(other / "bin", "/bin")} == without_own(None, environ, own_prefix=str(own))
    activated = environ | {"VIRTUAL_ENV": str(own)}
    assert {} == without_own(job_python(tmp_path, activated, own_prefix=str(own)), activated, own_prefix=str(own))
    assert {} == without_own(found, {"PATH": search(other / "bin")}, own_prefix=str(own))
