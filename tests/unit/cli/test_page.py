import re
import subprocess
import threading
from functools import partial
from html import escape
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from dispatcher.cli.render.page.charts import curve, strip
from dispatcher.cli.render.page.page import Material, page, warnings
from dispatcher.cli.render.sanitise import plain
from dispatcher.domain.run import Attempt, Label, Outcome, Output, Run, RunState
from dispatcher.metrics.series import Series, series_of

LOSS = Series("loss", "runs/metrics.jsonl", "step", tuple((float(n), 2 / (n + 1)) for n in range(60)), 60)
SAMPLES = tuple({"t": 100.0 + n, "cpus": 1.5, "ram_gib": 2.0 + n / 50, "gpu_utilisation": 0.2} for n in range(40))


@pytest.fixture
def run() -> Run:
    attempt = Attempt(Label("abcdefgh12", 1), "local", None, None, "owned", 0.0, launched=100.0, ended=160.0)
    found = Run(id="abcdefgh12", name="pets <b>", submitted=99.0)
    found.state, found.outcome, found.exit_code = RunState.FINISHED, Outcome.SUCCEEDED, 0
    found.attempts, found.started, found.ended = [attempt], 101.0, 158.0
    found.phases_seconds, found.teardown_confirmed = {"run": 57.0, "fetch": 2.0}, True
    found.outputs = [Output("runs/" + "long-name-" * 12 + ".bin", 1234, "ab" * 32)]
    found.teardown_proof = ["local: nothing carries the label"]
    return found


@pytest.fixture
def material() -> Material:
    return Material(
        job="run: python train.py --a " + "x" * 300,
        tail=("epoch 1 <script>alert(1)</script>",),
        samples=SAMPLES,
        series=(LOSS,),
        origin={"commit": "0123abc", "diff": "- a\n+ b", "packages": ["numpy==2.0"]},
    )


def test_the_page_holds_what_the_run_was(run, material):
    html = page(run, material)
    assert "Succeeded in 57 s, free" in html
    assert "2 at first, 0.03333 at the end, lowest 0.03333 at step 59; 60 values from runs/metrics.jsonl" in html
    assert "1.5 cores on average" in html
    assert "The GPU was busy 20% of the time" in html
    for told in ("0123abc", "+ b", "numpy==2.0", "ab" * 32, "Torn down, confirmed."):
        assert told in html


def test_nothing_of_a_job_becomes_markup(run, material):
    html = page(run, material)
    assert "<script" not in html
    assert "pets &lt;b&gt;" in html


def test_the_page_names_nothing_outside_itself(run, material):
    html = page(run, material)
    assert [] == re.findall(r"""(?:src|href)=["'](?!data:)|url\(|@import""", html)
    assert "default-src 'none'" in html


def test_a_run_that_left_nothing_still_has_a_page(run):
    run.outputs, run.phases_seconds, run.attempts = [], {}, []
    run.outcome, run.state, run.teardown_confirmed = None, RunState.RUNNING, False
    html = page(run, Material())
    assert "Running, free so far" in html
    assert "Teardown is not confirmed" in html


def test_a_curve_that_rises_tells_its_highest_value():
    rising = series_of("acc", "f.csv", "epoch", [(0, 0.5), (1, 0.9), (2, 0.8)])
    assert "highest 0.9 at epoch 1" in curve(rising).words


def test_a_picture_stays_within_its_frame():
    chart = strip("RAM", "GiB", [(float(n), float(n % 7)) for n in range(1000)])
    places = [tuple(map(float, pair.split(","))) for pair in chart.line.split()]
    assert all(0 <= x <= 340 and 0 <= y <= 120 for x, y in places)
    assert strip("RAM", "GiB", [(0.0, 1.0)]) is None


def test_a_busy_gpu_is_no_warning(run):
    busy = tuple({"t": float(n), "gpu_utilisation": 0.9} for n in range(40))
    assert [] == warnings(run, busy, ())
    assert ["hot"] == warnings(run, busy, ("hot",))


def test_a_line_of_output_is_shown_without_its_commands():
    assert "50%" == plain("\x1b[32m10%\r\x1b[0m50%\x07")
    assert "title" not in plain("\x1b]0;title\x07x")


PROBE = """
let d = this.contentDocument, e = d.documentElement, lines = [...d.querySelectorAll('.chart polyline')];
document.title = [e.scrollWidth > e.clientWidth, lines.filter(one => one.getBBox().width > 100).length].join(' ');
"""
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync", "--disable-background-networking",
    "--disable-component-update",
)  # fmt: skip


@pytest.mark.browser
@pytest.mark.parametrize("width", [375, 1000])
def test_a_browser_shows_it_whole_and_asks_nobody(run, material, tmp_path, width):
    """A frame of that width measures the page: a headless window is never narrower than 500 pixels."""
    assert ("false 4", {"/frame.html", "/page.html"}) == in_browser(page(run, material), width, tmp_path)


@pytest.mark.browser
def test_the_browser_would_notice(run, material, tmp_path):
    wrong = page(run, material).replace("default-src 'none'", "default-src *").replace("img-src data:", "img-src *")
    wrong = wrong.replace("polyline points", "polyline data-points")
    wrong = wrong.replace("</body>", "<img src=dot.svg><pre style='white-space:pre;width:2000px'>wide</pre></body>")
    assert ("true 0", {"/frame.html", "/page.html", "/dot.svg"}) == in_browser(wrong, 375, tmp_path)


def in_browser(html: str, width: int, folder: Path) -> tuple[str, set[str]]:
    """Whether something overflows and how many curves are drawn; what the browser asked the page's server for."""
    (folder / "page.html").write_text(html)
    frame = f'<iframe src="page.html" width={width} height=900 style="border:0" onload="{escape(PROBE, quote=True)}">'
    (folder / "frame.html").write_text(f'<link rel="icon" href="data:,">{frame}</iframe>')
    asked: set[str] = set()

    class Files(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            asked.add(self.path)

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Files, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        argv = ["chromium", *FLAGS, f"--user-data-dir={folder}/profile", "--dump-dom"]
        address = f"http://127.0.0.1:{server.server_port}/frame.html"
        done = subprocess.run([*argv, address], capture_output=True, text=True, timeout=60, check=True)
        server.shutdown()
    return re.search(r"<title>(.*?)</title>", done.stdout).group(1), asked
