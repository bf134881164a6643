"""A classical library's job on a table: settings and defaults."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath

from dispatcher.domain.hardware import Device
from dispatcher.domain.job import Dataset, JobConfig, Model
from dispatcher.domain.workload import TableWorkload
from dispatcher.errors import UnknownError
from dispatcher.planner.tables import algorithms
from dispatcher.planner.tables.algorithms import EXACT, LIBRARY_DEFAULTS, Algorithm, Defaults

DTYPE_BYTES = {"float64": 8, "int64": 8, "float32": 4, "int32": 4, "float16": 2, "int8": 1, "uint8": 1}
THREAD_VARIABLES = ("OMP_NUM_THREADS", "LOKY_MAX_CPU_COUNT")
GPU_LIBRARIES = ("xgboost", "lightgbm", "catboost", "cuml")


@dataclass(frozen=True, slots=True)
class Format:
    """A file format: bytes of a value on disk (0: as in memory), nanoseconds to read one on the reference core, and how often
    the table is held once more while it is read."""

    value_bytes: float
    nanoseconds: float
    held: float


TEXT = Format(8.0, 33.0, 2.1)
"""pandas 3 reading CSV, own runs of 2026-11-21: 4 to 19 bytes a value, 36 to 69 ns on a core of 0.57, a peak of 3.1 tables."""
FORMATS = {
    ".parquet": Format(4.0, 10.0, 1.0),
    ".feather": Format(6.0, 5.0, 1.0),
    ".npy": Format(0.0, 5.0, 0.0),
    ".npz": Format(0.0, 30.0, 0.0),
    ".gz": Format(3.0, 60.0, 2.1),
}
"""By the file's ending; assumed, 2026-11."""


def build(job: JobConfig, device: Device) -> TableWorkload:
    """The work of a table job. Raises UnknownError where the algorithm or the table's size is not known."""
    model, data = job.model, job.dataset or Dataset()
    assert model is not None
    library, algorithm = _library(model), _algorithm(model)
    defaults, kind = _defaults(library, algorithm), _format(data)
    rows, columns, sized = _size(data, kind)
    depth, leaves, limited = _limits(model, library, algorithm, defaults)
    search, spelled = model.search, model.algorithm or model.name or ""
    fits = _fits(model)
    threads, threads_open = _threads(job, library, algorithm)
    return TableWorkload(
        library=library,
        algorithm=algorithm.name,
        rows=rows,
        columns=columns,
        dtype_bytes=DTYPE_BYTES[data.dtype or "float64"],
        trees=model.trees or algorithm.trees or defaults.trees,
        depth=depth,
        leaves=leaves,
        bins=model.bins or defaults.bins,
        classes=0 if algorithms.is_regression(spelled) else 2,
        fits=fits,
        parallel_fits=_parallel(model, device, fits),
        folds=search.folds if search else 1,
        threads=threads,
        threads_open=threads_open,
        iterations=float(job.training.steps or job.training.epochs or algorithm.iterations),
        in_memory=data.in_memory is not False or not algorithms.streams(library, algorithm),
        keeps_raw=library == "xgboost" and not spelled.startswith("XGB"),
        file_bytes=data.size or 0.0,
        reading_ns=kind.nanoseconds,
        parsing=kind.held,
        on_gpu=_on_gpu(job, device, library),
        notes=(*sized, *limited, *_notes(job, library, algorithm, one_core=threads_open)),
    )


def _library(model: Model) -> str:
    return model.library or algorithms.library_of(model.algorithm or model.name or "") or "sklearn"


def _algorithm(model: Model) -> Algorithm:
    text = model.algorithm or model.name
    if text is None and model.library in algorithms.BOOSTERS:
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


def _format(data: Dataset) -> Format:
    return FORMATS.get(PurePath(data.path).suffix.lower(), TEXT) if data.path else TEXT


def _limits(
    model: Model, library: str, algorithm: Algorithm, defaults: Defaults
) -> tuple[int | None, int | None, tuple[str, ...]]:
    """Depth and leaves that bound a tree, None for no bound, and what was assumed of them."""
    if algorithm.shape != "boosting":
        own = algorithm.depth or (defaults.depth if library == "cuml" else 0)
        return model.depth or own or None, model.leaves, ()
    if model.leaves or not model.depth or not defaults.leaves:
        return model.depth or defaults.depth or None, model.leaves or defaults.leaves or None, ()
    note = f"Leaves are not stated: as many as depth {model.depth} allows; {library} stops at {defaults.leaves} by itself."
    return model.depth, None, (note,)


def _size(data: Dataset, kind: Format) -> tuple[float, float, tuple[str, ...]]:
    """Rows, columns, and a note where one of them follows from the file's size."""
    rows, columns, size = data.samples, data.columns, data.size
    if rows and columns:
        return float(rows), float(columns), ()
    if size and (rows or columns):
        each = kind.value_bytes or DTYPE_BYTES[data.dtype or "float64"]
        other = max(1.0, size / each / float(rows or columns or 1))
        missing = "Columns" if rows else "Rows"
        note = f"{missing} are not stated: about {other:,.0f}, from the file's size at {each:g} bytes a value."
        return (float(rows), other, (note,)) if rows else (other, float(columns or 1), (note,))
    raise UnknownError(
        "The table's rows and columns are not stated, and everything hangs on them.",
        fix="Add dataset.rows and dataset.columns.",
    )


def _fits(model: Model) -> int:
    """Models trained: candidates × folds, and the best one again on everything."""
    if model.search is None:
        return 1
    found = model.search.candidates * model.search.folds
    return found + 1 if found > 1 else 1


def _parallel(model: Model, device: Device, fits: int) -> int:
    """Fits at a time; -1 is one per core."""
    if model.search is None:
        return 1
    jobs = model.search.jobs if model.search.jobs > 0 else max(1, round(device.usable_cores))
    return max(1, min(jobs, fits))


def _threads(job: JobConfig, library: str, algorithm: Algorithm) -> tuple[int, bool]:
    """Threads that the job states or its environment sets, 0 for all cores; else the library's default, and that it is one."""
    stated = job.model.threads if job.model else None
    if stated:
        return max(0, stated), False
    texts = (job.env.get(name, "").strip() for name in THREAD_VARIABLES)
    if said := next((int(text) for text in texts if text.isdigit() and 0 < int(text) < 10**6), 0):
        return said, False
    return (1, True) if library == "sklearn" and algorithm.alone else (0, False)


def _on_gpu(job: JobConfig, device: Device, library: str) -> bool:
    """Libraries with a GPU build use one when the job asks for it; cuML always."""
    if device.kind != "cuda" or library not in GPU_LIBRARIES:
        return False
    return library == "cuml" or bool(job.resources.gpu)


def _notes(job: JobConfig, library: str, algorithm: Algorithm, *, one_core: bool) -> tuple[str, ...]:
    """What was taken for granted, and what will disappoint."""
    data, found = job.dataset or Dataset(), []
    if data.dtype is None:
        found.append("The table's type is not stated: taken as float64, what pandas and NumPy read.")
    if data.in_memory is False and not algorithms.streams(library, algorithm):
        found.append(f"{library} needs the whole table in RAM for {algorithm.name}: it is counted whole.")
    if library == "sklearn" and job.resources.gpu:
        also = "; cuml.accel runs this algorithm on an NVIDIA GPU" if algorithm.gpu else ""
        found.append(f"scikit-learn does not use a GPU: a machine without one costs less{also}.")
    if one_core:
        found.append("Its n_jobs is not known: one core is counted, scikit-learn's default. With n_jobs=-1: model.threads: -1.")
    return tuple(found)


def _model(job: JobConfig) -> None:
    assert job.model is not None
    _algorithm(job.model)


def _table(job: JobConfig) -> None:
    data = job.dataset or Dataset()
    _size(data, _format(data))


ASKED = (_model, _table)
"""What a job of this family must say, as questions that raise UnknownError where it does not."""
