"""The process in which a student's code runs: ``python -m course.runner``, started by ``course.sandbox``.

It holds no test and no expected value. It executes the set-up and answer cells that it is sent, calls the graded functions
with what it is sent, and sends back what they gave; the judge decides. Whatever a student's code does to this process, it
can only spoil its own answers.
"""

import builtins
import importlib.util
import linecache
import operator
import os
import pickle
import sys
import types
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any

MEMORY_BYTES = 6 * 2**30
FILE_BYTES = 64 * 2**20
PROCESSES = 200
CPU_SECONDS = 600  # the judge is more patient with nobody; this ends what has escaped it


def main() -> None:
    """Serve one judge until it hangs up. What student code prints goes nowhere."""
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)
    _limit_resources(sealed="sealed" in sys.argv)
    _hide_what_judges()
    _serve(requests, replies)


def _limit_resources(sealed: bool) -> None:
    try:
        import resource
    except ImportError:  # Windows has no such limits; the judge's clock still holds
        return
    limits = {
        resource.RLIMIT_AS: MEMORY_BYTES,
        resource.RLIMIT_FSIZE: FILE_BYTES,
        resource.RLIMIT_CPU: CPU_SECONDS,
        resource.RLIMIT_CORE: 0,
    }
    if sealed:  # then only its own processes are counted, not all those of the teacher
        limits[resource.RLIMIT_NPROC] = PROCESSES
    for limit, most in limits.items():
        hard = resource.getrlimit(limit)[1]
        resource.setrlimit(limit, (most, most) if hard == resource.RLIM_INFINITY else (min(most, hard), hard))


def _hide_what_judges() -> None:
    """Give lessons a ``checks`` that does nothing, put off slow drawing, and stand in for the notebook's shell."""
    checks = types.ModuleType("course.checks")
    checks.check = checks.hint = lambda *_, **__: None  # type: ignore[attr-defined]
    sys.modules["course.checks"] = checks
    import course

    course.checks = checks  # type: ignore[attr-defined]
    for name in ("course.tasks", "course.reference", "course.build"):
        sys.modules[name] = None  # type: ignore[assignment]  # importing it is an ImportError, sandbox or not
    import toolkit

    for name in ("plots", "widgets"):
        spec = importlib.util.find_spec(f"toolkit.{name}")
        assert spec is not None
        assert spec.loader is not None
        spec.loader = importlib.util.LazyLoader(spec.loader)
        module = importlib.util.module_from_spec(spec)
        sys.modules[f"toolkit.{name}"] = module
        setattr(toolkit, name, module)
        spec.loader.exec_module(module)
    shell = types.SimpleNamespace(
        **dict.fromkeys(("run_line_magic", "run_cell_magic", "system", "getoutput"), _nothing)
    )
    builtins.get_ipython = lambda: shell  # type: ignore[attr-defined]
    warnings.simplefilter("ignore")


def _nothing(*_: Any, **__: Any) -> None:
    """Take the place of a magic."""


def _serve(requests: IO[bytes], replies: IO[bytes]) -> None:
    import torch

    from course import wire

    torch.set_num_threads(1)
    process = _Process()
    actions: dict[str, Callable[..., Any]] = {
        "start": process.start,
        "cell": process.cell,
        "call": process.call,
        "gradients": process.gradients,
    }
    while True:
        try:
            action, *arguments = pickle.loads(wire.read_frame(requests, most_bytes=2**40))
        except EOFError:
            return
        wire.write_frame(replies, wire.encode(actions[action](*arguments)))


class _Process:
    """The names that a notebook's cells share, and what is needed to call its functions."""

    def __init__(self) -> None:
        from toolkit import losses  # so that an answer never waits for it, and nothing is left to import

        self.names: dict[str, Any] = {"__name__": "__main__", "__builtins__": builtins}
        self.forbidden: dict[str, list[Callable[..., Any]]] = {}
        self.graded: tuple[str, ...] = ()
        self.kept: dict[int, tuple[list[Any], list[Any]]] = {}  # results and inputs of calls, for gradients
        self._losses = losses

    def start(self, set_up: str, forbidden: dict[str, list[tuple[str, str]]]) -> str:
        """Run the set-up cell, and close the source files of what answers must not use."""
        exec(compile(set_up, "<set-up>", "exec"), self.names)
        self.graded = tuple(forbidden)
        closed: set[Path] = set()
        for task, functions in forbidden.items():
            modules = [importlib.import_module(module) for module, _ in functions]
            self.forbidden[task] = [
                operator.attrgetter(name)(module) for module, (_, name) in zip(modules, functions, strict=True)
            ]
            closed |= {Path(str(module.__file__)) for module in modules}
        _close(closed)
        return "ready"

    def cell(self, task: str, source: str) -> tuple[Any, ...]:
        """Execute an answer cell; say what it raised, if anything, and whether the task's name is there now."""
        from course.answers import walled

        filename = f"<{task}>"
        linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
        everything = [function for functions in self.forbidden.values() for function in functions]
        raised = None
        with walled(everything) as used:
            try:
                exec(compile(source, filename, "exec"), self.names)
            except BaseException as problem:
                raised = self._told(problem, task, None)
        return ("toolkit",) if used and task not in self.names else ("done", raised, callable(self.names.get(task)))

    def call(
        self,
        number: int,
        task: str,
        arguments: Sequence[Any],
        leaves: Sequence[bool],
        gradients: Sequence[Any],
        with_gradients: bool,
    ) -> tuple[Any, ...]:
        """Call a graded function.

        ``leaves`` says which tensors were leaves of a graph for the judge; ``gradients`` holds what arguments and tensors
        had in ``.grad``, which no pickle carries.
        """
        import torch
        from torch import Tensor

        from course.answers import walled
        from course.wire import tensors_in, with_tensors

        inputs = tensors_in(arguments)
        for thing, before_call in zip([*arguments, *inputs], gradients, strict=True):
            _give_gradients(thing, before_call)
        given = [
            tensor if leaf or not tensor.requires_grad else tensor.clone()
            for tensor, leaf in zip(inputs, leaves, strict=True)
        ]
        before = [tensor.detach().clone() for tensor in given]
        arguments = with_tensors(list(arguments), list(given))
        torch.set_grad_enabled(with_gradients)
        with walled(self.forbidden[task]) as used:
            try:
                result, raised = self.names[task](*arguments), None
            except BaseException as problem:
                result, raised = None, self._told(problem, task, self.names[task])
        still_with_gradients = torch.is_grad_enabled()
        torch.set_grad_enabled(True)
        if used:
            return ("toolkit",)
        if raised is not None:
            return ("raised", *raised)
        outputs = [part for part in tensors_in(result) if type(part) is Tensor and part.requires_grad]
        self.kept[number] = outputs, [tensor for tensor in inputs if tensor.requires_grad]
        self.kept.pop(number - 100, None)
        changed = [None if _same(now, then) else now.detach().clone() for now, then in zip(given, before, strict=True)]
        states = [_state(argument) for argument in arguments]
        after_call = [tensor.grad if tensor.is_leaf else None for tensor in inputs]
        return ("returned", result, changed, states, after_call, still_with_gradients)

    def gradients(self, number: int, of_outputs: Sequence[Any]) -> tuple[Any, ...]:
        """Send gradients back through a call; one for each input that asks for one, None where none arrives."""
        import torch

        outputs, inputs = self.kept[number]
        pairs = [
            (output, gradient) for output, gradient in zip(outputs, of_outputs, strict=True) if gradient is not None
        ]
        try:
            found = (
                torch.autograd.grad(
                    [output for output, _ in pairs],
                    inputs,
                    [gradient for _, gradient in pairs],
                    retain_graph=True,
                    allow_unused=True,
                )
                if inputs and pairs
                else [None] * len(inputs)
            )
        except BaseException as problem:  # a graph of the student's making
            return ("raised", *self._told(problem, "", None))
        return ("gradients", [None if gradient is None else gradient.detach() for gradient in found])

    def _told(self, problem: BaseException, task: str, function: Any) -> tuple[str, str, str, str | None]:
        from course.answers import Raised

        raised = Raised.of(problem, task, function, self.graded)
        return raised.kind, raised.message, raised.line, raised.unwritten


def _give_gradients(thing: Any, gradients: Any) -> None:
    import torch

    if isinstance(thing, torch.nn.Module):
        for name, gradient in gradients.items():
            thing.get_parameter(name).grad = gradient
    elif isinstance(gradients, torch.Tensor):
        thing.grad = gradients


def _same(now: Any, then: Any) -> bool:
    import torch

    return now.shape == then.shape and torch.equal(now.detach(), then)


def _state(argument: Any) -> Any:
    """What a call may have changed in a module or an optimizer; None for anything else."""
    import torch

    if isinstance(argument, torch.optim.Optimizer):
        return {"plain": _plain(argument), "optimizer": argument.state_dict()}
    if not isinstance(argument, torch.nn.Module):
        return None
    return {
        "tensors": {name: value.detach() for name, value in [*argument.named_parameters(), *argument.named_buffers()]},
        "gradients": {name: value.grad for name, value in argument.named_parameters()},
        "modules": {
            name: {"training": part.training, "plain": _plain(part)} for name, part in argument.named_modules()
        },
    }


def _plain(thing: Any) -> dict[str, Any]:
    """Attributes that hold numbers, words, or lists of them."""
    simple = (bool, int, float, str)
    return {
        name: value
        for name, value in vars(thing).items()
        if type(value) in simple or (type(value) is list and all(type(part) in simple for part in value))
    }


def _close(files: set[Path]) -> None:
    """Let nobody read these source files any more, to run them a second time under another name."""
    stems, folders = {path.stem for path in files}, {path.parent for path in files}
    folders |= {folder / "__pycache__" for folder in folders}

    def refuse(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(arguments[0], str):
            path = Path(arguments[0])
            if path.parent in folders and path.name.split(".")[0] in stems:
                from course.answers import toolkit_used

                toolkit_used()

    sys.addaudithook(refuse)


if __name__ == "__main__":
    main()
