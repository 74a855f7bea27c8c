"""The Python code that repeats a run with the toolkit: what the worker did, call by call, so that the numbers are the same."""

import re
from importlib.metadata import version

from app_support import resources, soft_view
from app_support.experiments import SideBySide, Surface
from app_support.method_runs import Settings
from app_support.tasks import Task
from toolkit import methods

_HEAD = '''"""Repeats a run of the app: the same numbers on the same machine; elsewhere the last digits may differ.

Written for distillation-toolkit {toolkit}, torch {torch}. Start it where the toolkit is installed: python {file}
"""

{imports}

torch.set_num_threads(1)
'''

_MODULES = ("compare", "data", "files", "grid", "losses", "metrics", "scenarios", "training")

_DISTIL = """
together = {{"temperatures": [{temperature!r}], "seeds": {seeds!r}, "epochs": {epochs}, "teacher": teacher}}
{training}
difference = distilled.history[0, -1, :, -1] - alone.history[0, 0, :, -1]
print("alone, validation:    ", alone.history[0, 0, :, -1].tolist())
print("distilled, validation:", distilled.history[0, -1, :, -1].tolist())
print("alone, test:          ", alone.accuracy[0, 0].tolist())
print("distilled, test:      ", distilled.accuracy[0, -1].tolist())
print("difference:", metrics.in_points(metrics.confidence_interval(difference, examples=len(dataset.y_val))))
"""

_TOGETHER = "alone = distilled = grid.train_grid(dataset, scenario, {student!r}, lams={lams!r}, **together)"

_APART = """alone = grid.train_grid(dataset, scenario, {student!r}, lams=[0.0], **together)
distilled = grid.train_grid(
    dataset, scenario, {student!r}, lams=[{lam!r}], penalty_weight={penalty_weight!r}, norm={norm!r}, **together
)"""

_SURFACE = """
surface = None
for seed in {seeds!r}:
    part = grid.train_grid(
        dataset,
        scenario,
        {student!r},
        temperatures={temperatures!r},
        lams={lams!r},
        seeds=[seed],
        epochs={epochs},
        penalty_weight={penalty_weight!r},
        norm={norm!r},
        teacher=teacher,
    )
    surface = part if surface is None else surface.joined(part)
t, lam = surface.best_cell()
print("validation chose: T =", surface.temperatures[t], "lam =", surface.lams[lam])
print("validation, mean over seeds:", surface.val_accuracy.mean(-1).tolist())
t, lam, alone = {t}, {lam}, surface.lams.index(0)  # the cell that was looked at
print("cell: T =", surface.temperatures[t], "lam =", surface.lams[lam])
for part, accuracy, examples in [
    ("validation", surface.val_accuracy, surface.val_examples),
    ("test", surface.accuracy, surface.test_examples),
]:
    difference = metrics.confidence_interval(accuracy[t, lam] - accuracy[t, alone], examples=examples)
    compared = "this is the student alone" if lam == alone else f"from the student alone {{metrics.in_points(difference)}}"
    print(f"{{part}}: {{accuracy[t, lam].mean():.4f}}, {{compared}}")
"""


def distil(task: Task, temperature: float, lam: float) -> str:
    """Write the script that repeats one comparison."""
    if task.penalty_weight:
        trained = _APART.format(student=task.student, lam=lam, penalty_weight=task.penalty_weight, norm=task.norm)
    else:
        trained = _TOGETHER.format(student=task.student, lams=sorted({0.0, lam}))
    body = _DISTIL.format(temperature=temperature, seeds=task.seed_numbers, epochs=task.epochs, training=trained)
    return _script(task, "distil.py", body)


_SIDE_BY_SIDE = """
for name, scenario, student, epochs in [
{rows}]:
    together = {{"temperatures": [{temperature!r}], "seeds": {seeds!r}, "epochs": epochs, "teacher": teacher}}
    alone = grid.train_grid(dataset, scenario, student, lams=[0.0], **together)
    distilled = grid.train_grid(
        dataset, scenario, student, lams=[{lam!r}], penalty_weight={penalty_weight!r}, norm={norm!r}, **together
    )
    difference = distilled.val_accuracy[0, 0] - alone.val_accuracy[0, 0]
    interval = metrics.confidence_interval(difference, examples=len(dataset.y_val))
    print(f"{{name}}: {{metrics.in_points(interval)}} ({{metrics.verdict(interval)}})")
"""

_SOFT_TARGETS = """
student = training.train_student(
    dataset,
    student={student!r},
    temperature={distilled_at!r},
    lam={lam!r},
    recipe=training.Recipe(epochs={epochs}),
    teacher=teacher,
)
x, label = dataset.x_test[{index} : {index} + 1], dataset.y_test[{index}]
for name, model in {{"teacher": teacher.model, "student": student.model}}.items():
    print(f"{{name}}:", losses.soft_targets(training.predict(model, x), {temperature!r})[0].tolist())
print("label:", dataset.class_names[label])
"""


_METHOD = """
together = {{"scenario": scenario, "recipe": training.Recipe(epochs={epochs}), "teacher": teacher}}
arms = {{"alone": ("labels", {alone!r}), "by the method": ({method!r}, {setting!r})}}
accuracy = {{
    arm: [
        compare.distil(method, dataset, {student!r}, setting=setting, seed=seed, **together).val_accuracy
        for seed in {seeds!r}
    ]
    for arm, (method, setting) in arms.items()
}}
print(accuracy)
difference = np.subtract(accuracy["by the method"], accuracy["alone"])
interval = metrics.confidence_interval(difference, examples=len(dataset.y_val))
print(metrics.in_points(interval), "on validation:", metrics.verdict(interval))
"""


def method(settings: Settings) -> str:
    """Write the script that repeats the student alone and the one that learned by a method."""
    task = settings.task
    body = _METHOD.format(
        epochs=task.epochs,
        alone=methods.get("labels").settings[0],
        method=settings.method,
        setting=settings.setting,
        student=task.student,
        seeds=task.seed_numbers,
    )
    return _script(task, "method.py", body)


def side_by_side(result: SideBySide) -> str:
    """Write the script that repeats the comparison in all scenarios."""
    task = next(iter(result.rows.values()))
    rows = "".join(
        f"    ({label!r}, {_scenario(row)}, {row.student!r}, {row.epochs}),\n" for label, row in result.rows.items()
    )
    body = _SIDE_BY_SIDE.format(
        rows=rows,
        temperature=result.temperature,
        seeds=task.seed_numbers,
        lam=result.lam,
        penalty_weight=task.penalty_weight,
        norm=task.norm,
    )
    return _script(task, "scenarios.py", body, scenario=False)


def soft_targets(name: str, index: int, temperature: float, *, distilled: bool) -> str:
    """Write the script that repeats the bars of one example."""
    task = Task(name, "all-labels", (), soft_view.STUDENT, 0.0, "l2", 1, 1)
    body = _SOFT_TARGETS.format(
        student=soft_view.STUDENT,
        distilled_at=soft_view.TEMPERATURE,
        lam=soft_view.LAM if distilled else 0.0,
        epochs=soft_view.epochs_for(len(resources.dataset(name).x_train)),
        index=index,
        temperature=temperature,
    )
    return _script(task, "soft_targets.py", body, scenario=False)


def surface(result: Surface, cell: tuple[int, int]) -> str:
    """Write the script that repeats a surface, and says how one of its cells did."""
    task, scores = result.task, result.scores
    body = _SURFACE.format(
        t=cell[0],
        lam=cell[1],
        seeds=list(scores.seeds),
        student=task.student,
        temperatures=list(scores.temperatures),
        lams=list(scores.lams),
        epochs=task.epochs,
        penalty_weight=task.penalty_weight,
        norm=task.norm,
    )
    return _script(task, "surface.py", body)


def _scenario(task: Task) -> str:
    parameters = "".join(f", {name}={int(value) if value == int(value) else value}" for name, value in task.parameter)
    return f"scenarios.get({task.scenario!r}{parameters})"


def _script(task: Task, file: str, body: str, *, scenario: bool = True) -> str:
    """Put the data, the scenario and the body together, beneath the imports that they need."""
    own = resources.own(task.dataset)
    if own is None:
        load = f"dataset = data.load({task.dataset!r})\n"
    else:
        load = f"dataset = files.read({own.file_name!r}, {own.label!r})  # the file that was uploaded, in this folder\n"
    rest = f"{load}teacher = training.train_teacher(dataset)" + (f"\nscenario = {_scenario(task)}" if scenario else "")
    rest += body
    used = [module for module in _MODULES if re.search(rf"\b{module}\.", rest)]
    imports = (
        "import numpy as np\n" if "np." in rest else ""
    ) + f"import torch\n\nfrom toolkit import {', '.join(used)}"
    versions = {"toolkit": version("distillation-toolkit"), "torch": version("torch")}
    return _HEAD.format(**versions, file=file, imports=imports) + f"\n{rest}"
