"""A classical library's job on a table: what its settings and its library's defaults say."""

from __future__ import annotations

from dispatcher.domain.hardware import Device
from dispatcher.domain.job import Dataset, JobConfig, Model
from dispatcher.domain.workload import TableWorkload
from dispatcher.errors import UnknownError
from dispatcher.planner.tables import algorithms
from dispatcher.planner.tables.algorithms import EXACT, LIBRARY_DEFAULTS, Algorithm, Defaults

DTYPE_BYTES = {"float64": 8, "int64": 8, "float32": 4, "int32": 4, "float16": 2, "int8": 1, "uint8": 1}
TEXT_BYTES = 8.0
"""Bytes of a value in a text file, its comma included, where only the file's size is known."""
THREAD_VARIABLES = ("OMP_NUM_THREADS", "LOKY_MAX_CPU_COUNT")
GPU_LIBRARIES = ("xgboost", "lightgbm", "catboost", "cuml")


def build(job: JobConfig, device: Device) -> TableWorkload:
    """The work of a table job. Raises UnknownError where the algorithm or the table's size is not known."""
    model, data = job.model, job.dataset or Dataset()
    assert model is not None
    library, algorithm = _library(model), _algorithm(model)
    rows, columns, sized = _size(data)
    defaults = _defaults(library, algorithm)
    notes = [*sized, *_dtype_note(data)]
    depth, leaves = _limits(model, library, algorithm, defaults, notes)
    search = model.search
    fits = 1 if search is None or search.candidates * search.folds == 1 else search.candidates * search.folds + 1
    spelled = model.algorithm or model.name or ""
    return TableWorkload(
        library=library,
        algorithm=algorithm.name,
        rows=rows,
        columns=columns,
        dtype_bytes=DTYPE_BYTES[data.dtype or "float64"],
        trees=1 if algorithm.name == "decision-tree" else model.trees or defaults.trees,
        depth=depth,
        leaves=leaves,
        bins=model.bins or defaults.bins,
        classes=0 if algorithms.is_regression(spelled) else 2,
        fits=fits,
        parallel_fits=_parallel(job, device, fits),
        folds=search.folds if search else 1,
        threads=_threads(job),
        iterations=_iterations(job, algorithm),
        file_bytes=data.size or 0.0,
        in_memory=data.in_memory is not False,
        on_gpu=_on_gpu(job, device, library),
        notes=tuple(notes),
    )


def _library(model: Model) -> str:
    return model.library or algorithms.library_of(model.algorithm or model.name or "") or "sklearn"


def _algorithm(model: Model) -> Algorithm:
    text = model.algorithm or model.name
    if text is None and model.library in ("xgboost", "lightgbm", "catboost"):
        text = "gradient-boosting"
    if text is None:
        raise UnknownError("The algorithm is not stated.", fix="Add model.algorithm: random-forest, gradient-boosting ….")
    found = algorithms.find_algorithm(text)
    if found is None:
        near = algorithms.similar_algorithms(text)
        raise UnknownError(
            f"{text!r} is no algorithm that the planner knows.",
            fix=f"Near: {', '.join(near)}." if near else "Give model.algorithm: random-forest, gradient-boosting ….",
        )
    return found


def _defaults(library: str, algorithm: Algorithm) -> Defaults:
    if library == "sklearn" and algorithm.name == "gradient-boosting":
        return EXACT
    if library == "cuml" and algorithm.shape == "boosting":
        return LIBRARY_DEFAULTS["xgboost"]
    return LIBRARY_DEFAULTS[library]


def _limits(
    model: Model, library: str, algorithm: Algorithm, defaults: Defaults, notes: list[str]
) -> tuple[int | None, int | None]:
    """Depth and leaves that bound a tree; None for no bound."""
    if algorithm.shape != "boosting":
        own = defaults.depth if library == "cuml" else 0
        return model.depth or own or None, model.leaves
    if model.leaves or not model.depth:
        return model.depth or defaults.depth or None, model.leaves or defaults.leaves or None
    if defaults.leaves:
        notes.append(
            f"Leaves are not stated: taken as all that depth {model.depth} allows; {library} itself stops at {defaults.leaves}."
        )
    return model.depth, None


def _size(data: Dataset) -> tuple[float, float, list[str]]:
    """Rows, columns, and a note where one of them follows from the file's size."""
    rows, columns, size = data.samples, data.columns, data.size
    if rows and columns:
        return float(rows), float(columns), []
    if size and (rows or columns):
        known = float(rows or columns or 1)
        other = max(1.0, size / TEXT_BYTES / known)
        what = "Columns" if rows else "Rows"
        note = f"{what} are not stated: about {other:,.0f}, from the file's size at {TEXT_BYTES:g} bytes a value."
        return (known, other, [note]) if rows else (other, known, [note])
    raise UnknownError(
        "The table's rows and columns are not stated, and everything hangs on them.",
        fix="Add dataset.rows and dataset.columns.",
    )


def _dtype_note(data: Dataset) -> list[str]:
    return [] if data.dtype else ["The table's type is not stated: taken as float64, what pandas and NumPy read."]


def _parallel(job: JobConfig, device: Device, fits: int) -> int:
    """Fits at a time."""
    search = job.model.search if job.model else None
    if search is None:
        return 1
    jobs = search.jobs if search.jobs > 0 else max(1, round(device.usable_cores) + 1 + search.jobs)
    return max(1, min(jobs, fits))


def _threads(job: JobConfig) -> int:
    """Threads that the environment sets; 0: all cores."""
    for name in THREAD_VARIABLES:
        text = job.env.get(name, "").strip()
        if text.isdigit() and int(text) > 0:
            return int(text)
    return 0


def _iterations(job: JobConfig, algorithm: Algorithm) -> float:
    stated = job.training.steps or job.training.epochs
    return float(stated or algorithm.iterations)


def _on_gpu(job: JobConfig, device: Device, library: str) -> bool:
    """Libraries with a GPU build use one when the job asks for it; cuML always."""
    if device.kind not in ("cuda", "rocm") or library not in GPU_LIBRARIES:
        return False
    return library == "cuml" or bool(job.resources.gpu)
