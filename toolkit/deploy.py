"""Take a trained student out of PyTorch: an ONNX file, its int8 forms, and what each costs in bytes, memory and time.

The way: ``export_onnx`` writes a file, ``quantise`` makes it int8, ``run_onnx`` gives its logits, ``cost_of`` measures it in a
process of its own with one thread, ``forms_of`` does all of this for a student, and ``most_accurate_within`` chooses for
real time. ONNX and ONNX Runtime come with the extra ``deploy``. Jacob et al. 2018, "Quantization and training of neural networks
for efficient integer-arithmetic-only inference" (int8).

Nothing here imports PyTorch before it is needed: a measuring process starts as small as on a phone.
"""

import contextlib
import io
import json
import logging
import math
import os
import subprocess
import sys
import tempfile
import time
import warnings
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from tqdm.auto import tqdm

if TYPE_CHECKING:
    from torch import Tensor, nn

    from toolkit.training import Student

How = Literal["dynamic", "static"]
_MISSING = "exporting to ONNX needs the extra deploy: pip install -e '.[deploy]'"


def _onnx_runtime() -> ModuleType:
    try:
        import onnx  # noqa: F401
        import onnxruntime
    except ImportError as problem:
        raise ImportError(_MISSING) from problem
    return onnxruntime


# ---- Files ---------------------------------------------------------------------------------------------------


def export_onnx(model: "nn.Module", input_shape: tuple[int, ...], path: str | Path) -> Path:
    """Write a network as an ONNX file: input "x" (batch, *input_shape) float32, output "logits", any batch size.

    Pruning masks and rounding are settled first (``compress.as_plain``); the network itself is left as it is.

    Raises
    ------
    ImportError
        Without the extra ``deploy``.
    """
    _onnx_runtime()
    import torch

    from toolkit.compress import as_plain

    plain = as_plain(model).eval().cpu()
    example = torch.zeros(1, *input_shape)  # PyTorch's exporter follows one example through the network
    with _written(path) as temporary, _quiet():
        torch.onnx.export(
            plain,
            (example,),
            str(temporary),
            input_names=["x"],
            output_names=["logits"],
            dynamic_axes={"x": {0: "batch"}, "logits": {0: "batch"}},
            dynamo=False,  # the newer exporter needs one more package
        )
    return Path(path)


def quantise(path: str | Path, target: str | Path, how: How = "dynamic", examples: "Tensor | None" = None) -> Path:
    """Write the int8 form of an ONNX file.

    Parameters
    ----------
    how : "dynamic" or "static"
        Dynamic: weights are int8, and the range of what flows between the layers is looked up anew in each run,
        over all the examples that are run together.
        Static: that range is measured once, on examples, and fixed.
        A recurrent layer (GRU) stays float32 either way: ONNX Runtime has no int8 for it.
    examples : shape (n, *input_shape), for "static" only
        From the *training* part: what validation or test would add here, accuracy on them could no longer tell.

    Raises
    ------
    ValueError
        For an unknown ``how``, or static without examples.
    ImportError
        Without the extra ``deploy``.
    """
    if how not in ("dynamic", "static"):
        raise ValueError(f"how must be 'dynamic' or 'static', not {how!r}")
    if how == "static" and (examples is None or len(examples) == 0):
        raise ValueError(
            "static int8 needs examples of the training part to measure ranges on: examples=dataset.x_train[:200]"
        )
    _onnx_runtime()
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with _written(target) as temporary, _quiet():
        merged = temporary.with_suffix(".merged")  # norm layers merged into convolutions, shapes known
        quant_pre_process(str(path), str(merged), skip_symbolic_shape=True)
        # Unsigned weights: with signed ones, sums overflow on some processors, and errors grow tenfold.
        unsigned = quantization.QuantType.QUInt8
        if how == "dynamic":
            quantization.quantize_dynamic(merged, temporary, weight_type=unsigned)
        else:
            assert examples is not None
            quantization.quantize_static(
                merged,
                temporary,
                _Examples(examples),
                quant_format=quantization.QuantFormat.QOperator,  # int8 layers as such: the smaller file
                activation_type=unsigned,
                weight_type=unsigned,
            )
    return Path(target)


class _Examples:
    """What ONNX Runtime asks for while it measures ranges: one batch, then nothing."""

    def __init__(self, examples: "Tensor"):
        self.batches = iter([{"x": examples.numpy()}])

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self.batches, None)


@contextlib.contextmanager
def _written(path: str | Path) -> Iterator[Path]:
    """Give a place to write to; under its final name the file is there whole, or not at all."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".half-written-") as folder:
        temporary = Path(folder) / "model.onnx"
        yield temporary
        os.replace(temporary, path)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep to ourselves what PyTorch's exporter and ONNX Runtime say to people who write converters."""
    before = logging.root.manager.disable
    logging.disable(max(before, logging.WARNING))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def sparse_bytes(path: str | Path) -> int:
    """Bytes of the file in a zip archive (deflate): what a pruned network takes as a download.

    Zeros pack to almost nothing, the other weights hardly at all. Unpacked and running, a pruned network is as large
    and as slow as before: ONNX Runtime multiplies with zeros too.
    """
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        archive.writestr("model.onnx", Path(path).read_bytes())
    return len(packed.getvalue())


# ---- Running -------------------------------------------------------------------------------------------------


def _session(path: str | Path) -> Any:
    runtime = _onnx_runtime()
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors
    return runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def run_onnx(path: str | Path, x: "Tensor") -> "Tensor":
    """Logits (examples, classes) of an ONNX file for x (examples, *input_shape), with one thread."""
    import torch

    session = _session(path)
    return torch.cat([torch.from_numpy(session.run(None, {"x": part.numpy()})[0]) for part in x.split(1024)])


@dataclass(frozen=True)
class Latency:
    """How long one run took, in seconds: median, 95th percentile and extremes over so many runs."""

    median: float
    p95: float
    minimum: float
    maximum: float
    runs: int


def latency(run: Callable[[], object], *, warm_up: int = 50, runs: int = 500) -> Latency:
    """Measure how long ``run()`` takes, after runs that are not counted: the first ones fill caches and reserve memory.

    The 95th percentile is what a person notices: one run in twenty takes longer. For PyTorch, hold it to one thread
    (``with machine.threads(1)``).

    >>> latency(lambda: sum(range(1000)), warm_up=5, runs=20).runs
    20
    """
    _check_whole("warm_up", warm_up, 0)
    _check_whole("runs", runs, 1)
    for _ in range(warm_up):
        run()
    seconds = np.empty(runs)
    for i in range(runs):
        start = time.perf_counter()
        run()
        seconds[i] = time.perf_counter() - start
    median, p95 = np.quantile(seconds, (0.5, 0.95))
    return Latency(float(median), float(p95), float(seconds.min()), float(seconds.max()), runs)


# ---- Cost, in a process of its own ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Cost:
    """What a file costs: bytes on disk, bytes of memory to run it, and the latency of one example.

    ``peak_memory`` is what loading and running the file adds at its highest to a process that has ONNX Runtime loaded and nothing
    else: weights, working memory, and what ONNX Runtime needs for any file, which is nearly all of it for a small student. Linux
    alone tells (the resident memory's high-water mark); elsewhere it is None.
    """

    bytes_on_disk: int
    peak_memory: int | None
    latency: Latency


def _check_whole(name: str, count: int, least: int) -> None:
    if isinstance(count, bool) or not isinstance(count, int) or count < least:
        raise ValueError(f"{name} must be a whole number of at least {least}, not {count!r}")


def cost_of(
    path: str | Path, input_shape: tuple[int, ...], *, warm_up: int = 50, runs: int = 500, processes: int = 1
) -> Cost:
    """Measure an ONNX file in a process of its own, with one thread, one example at a time.

    Parameters
    ----------
    processes : so many measure, one after another; the calmest counts, that with the smallest median
        Whatever else a machine does can only add to a time, and may last as long as a whole process.

    Raises
    ------
    ImportError
        Without the extra ``deploy``.
    RuntimeError
        If ONNX Runtime cannot run the file on such an example; the message is its own.
    """
    _check_whole("processes", processes, 1)
    return min(
        (_measured(path, input_shape, warm_up, runs) for _ in range(processes)), key=lambda cost: cost.latency.median
    )


def _measured(path: str | Path, input_shape: tuple[int, ...], warm_up: int, runs: int) -> Cost:
    _onnx_runtime()
    order = json.dumps([str(Path(path).resolve()), input_shape, warm_up, runs])
    child = subprocess.run(
        [sys.executable, "-c", "from toolkit import deploy; deploy._measure()", order],
        cwd=Path(__file__).parent.parent,
        env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if child.returncode:
        reason = child.stderr.strip().splitlines()[-1] if child.stderr.strip() else f"exit status {child.returncode}"
        raise RuntimeError(f"{path} could not be measured with examples of shape {input_shape}: {reason}")
    peak, *times = json.loads(child.stdout)
    return Cost(Path(path).stat().st_size, peak, Latency(*times))


def _measure() -> None:
    """What the measuring process does: load, run, and print peak memory and times."""
    path, input_shape, warm_up, runs = json.loads(sys.argv[1])
    _onnx_runtime()
    x = np.random.default_rng(0).normal(size=(1, *input_shape)).astype(np.float32)
    before = _resident("VmRSS", forget_peak=True)
    session = _session(path)
    took = latency(lambda: session.run(None, {"x": x}), warm_up=warm_up, runs=runs)
    after = _resident("VmHWM")
    peak = None if before is None or after is None else max(after - before, 0)
    print(json.dumps([peak, took.median, took.p95, took.minimum, took.maximum, took.runs]))


def _resident(line: str, forget_peak: bool = False) -> int | None:
    """Bytes of memory that this process holds (VmRSS) or held at most (VmHWM), as Linux counts them."""
    try:
        if forget_peak:
            Path("/proc/self/clear_refs").write_text("5")
        status = Path("/proc/self/status").read_text()
        return next(int(text.split()[1]) * 1024 for text in status.splitlines() if text.startswith(line))
    except (OSError, StopIteration):
        return None


# ---- One student in all its forms ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Form:
    """A student as a file: "float32", "int8 dynamic" or "int8 static", what it costs, and its accuracy on the test part."""

    name: str
    path: Path
    cost: Cost
    packed_bytes: int  # in a zip archive
    test_accuracy: float


def forms_of(
    student: "Student",
    folder: str | Path,
    *,
    calibration: int = 500,
    runs: int = 500,
    processes: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> list[Form]:
    """Export a student as float32 and both int8 forms, and measure each: before and after, side by side.

    Parameters
    ----------
    folder : where the three files go, named after the student
    calibration : so many examples of the training part measure the ranges of static int8
    runs, processes : as for ``cost_of``
    progress : called with (files measured, files in all); without one, a progress bar is shown

    Raises
    ------
    ImportError
        Without the extra ``deploy``.
    """
    from toolkit import metrics

    dataset, name = student.dataset, str(Path(folder) / student.name)
    exact = export_onnx(student.model, dataset.input_shape, f"{name}.onnx")
    dynamic = quantise(exact, f"{name}-dynamic.onnx")
    static = quantise(exact, f"{name}-static.onnx", "static", dataset.x_train[:calibration])
    paths = {"float32": exact, "int8 dynamic": dynamic, "int8 static": static}
    forms: list[Form] = []
    for form, path in tqdm(paths.items(), "Measuring files", disable=progress is not None):
        cost = cost_of(path, dataset.input_shape, runs=runs, processes=processes)
        accuracy = metrics.accuracy(run_onnx(path, dataset.x_test), dataset.y_test)
        forms.append(Form(form, path, cost, sparse_bytes(path), accuracy))
        if progress is not None:
            progress(len(forms), len(paths))
    return forms


# ---- Real time -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Candidate:
    """A student that was measured: its validation accuracy, and what it costs as an ONNX file."""

    name: str
    val_accuracy: float
    cost: Cost


@dataclass(frozen=True)
class Choice:
    """What was measured for each candidate, in the order given, and which was chosen: None where none meets the budget."""

    budget: float
    measured: tuple[Candidate, ...]
    chosen: Candidate | None

    @property
    def sentence(self) -> str:
        """Say which student meets the budget, or which came closest."""
        if self.chosen is not None:
            return (
                f"{self.chosen.name} is the most accurate of the students that meet {_duration(self.budget)}: "
                f"{self.chosen.val_accuracy:.1%} of the validation part, {_duration(self.chosen.cost.latency.p95)} at the 95th percentile"
            )
        closest = min(self.measured, key=lambda candidate: candidate.cost.latency.p95)
        return (
            f"none of {len(self.measured)} students meets {_duration(self.budget)}; {closest.name} came closest with "
            f"{_duration(closest.cost.latency.p95)} at the 95th percentile"
        )


def _duration(seconds: float) -> str:
    return f"{1000 * seconds:.3g} ms" if seconds >= 1e-3 else f"{1e6 * seconds:.3g} µs"


def most_accurate_within(
    budget: float,
    candidates: "Iterable[Student | tuple[str, nn.Module, float]]",
    *,
    input_shape: tuple[int, ...] | None = None,
    runs: int = 500,
    processes: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Choice:
    """Find the most accurate student (validation part) whose latency on this machine meets a budget, by measuring.

    Each is exported to ONNX and measured alone (``cost_of``). It meets the budget if 19 of 20 runs do: its 95th percentile.
    Of two that are equally accurate, the faster is chosen. On another machine, or a busy one, the choice may differ.

    Parameters
    ----------
    budget : seconds for one example, above 0
    candidates : trained students, or (name, model, validation accuracy), which need ``input_shape``
    runs, processes : as for ``cost_of``
    progress : called with (candidates done, candidates in all); without one, a progress bar is shown

    Raises
    ------
    ValueError
        If the budget is no time, or there is no candidate.
    ImportError
        Without the extra ``deploy``.
    """
    from toolkit.training import Student

    if not 0 < budget < math.inf:
        raise ValueError(f"budget must be a time in seconds above 0, not {budget!r}; 0.001 is a millisecond")
    pending = list(candidates)
    if not pending:
        raise ValueError("there is no candidate to choose from; train at least one student")
    measured: list[Candidate] = []
    with tempfile.TemporaryDirectory() as folder:
        for candidate in tqdm(pending, "Measuring students", disable=progress is not None):
            if isinstance(candidate, Student):
                name, model, accuracy = candidate.name, candidate.model, candidate.val_accuracy
                shape: tuple[int, ...] | None = candidate.dataset.input_shape
            else:
                (name, model, accuracy), shape = candidate, input_shape
            if shape is None:
                raise ValueError(
                    f"candidate {name!r} is a bare model; say what it takes, such as input_shape=(1, 8, 8)"
                )
            path = export_onnx(model, shape, Path(folder) / "candidate.onnx")
            measured.append(Candidate(name, accuracy, cost_of(path, shape, runs=runs, processes=processes)))
            if progress is not None:
                progress(len(measured), len(pending))
    return choose(budget, measured)


def choose(budget: float, measured: Iterable[Candidate]) -> Choice:
    """Choose among students that are measured already: the most accurate that meets the budget, of equals the fastest."""
    measured = tuple(measured)
    meeting = [candidate for candidate in measured if candidate.cost.latency.p95 <= budget]
    best = max(meeting, key=lambda candidate: (candidate.val_accuracy, -candidate.cost.latency.p95), default=None)
    return Choice(budget, measured, best)
