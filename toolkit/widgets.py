"""Things to play with in a lesson. They compute nothing themselves: ``losses``, ``grid`` and ``plots`` do.

Where no kernel is at work (a notebook seen on a web page), the picture of the first setting is shown instead.
"""

import base64
import html
from collections.abc import Callable, Sequence

import ipywidgets
from matplotlib.figure import Figure
from torch import Tensor

from toolkit import losses, plots
from toolkit.data import Dataset
from toolkit.grid import train_grid
from toolkit.scenarios import Scenario
from toolkit.training import Teacher

_STEPS = (0.2, 0.4, 0.6, 0.8, 1, 1.2, 1.4, 1.6, 1.8, 2, 2.5, 3, 4, 5, 6, 8, 10, 12, 16, 20)


class Panel(ipywidgets.VBox):
    """Controls above a picture, and between them a sentence where something went wrong.

    The first picture is drawn at once, and an error is raised then; front ends without a kernel show that picture.
    """

    def __init__(self, controls: Sequence[ipywidgets.Widget], draw: Callable[[], Figure]):
        self._draw = draw
        self._message = ipywidgets.HTML()
        self._image = ipywidgets.Image(format="png", value=_png(draw()))
        self._first = self._image.value
        super().__init__([*controls, self._message, self._image], layout={"align_items": "flex-start"})

    def redraw(self, *_: object) -> None:
        """Draw anew from what the controls say. An error becomes a sentence: a notebook would hide its traceback."""
        try:
            self._image.value = _png(self._draw())
        except Exception as problem:
            reason = html.escape(str(problem) or type(problem).__name__)
            self._message.value = f"This did not work: {reason}. The picture is still that of the setting before."
        else:
            self._message.value = ""

    def _repr_mimebundle_(self, **options: object) -> object:
        bundle = super()._repr_mimebundle_(**options)
        return bundle and {
            **bundle,
            "text/plain": type(self).__name__,
            "image/png": base64.b64encode(self._first).decode(),
        }


def temperature_slider(
    logits: Tensor,
    class_names: Sequence[str],
    *,
    label: int | None = None,
    image: Tensor | None = None,
    start: float = 1,
) -> Panel:
    """Drag T, with finer stops below 2, and watch the soft targets of one example; logits of shape (classes,).

    The slider begins at the stop nearest to ``start``.
    """
    slider = ipywidgets.SelectionSlider(
        options=_STEPS, value=_nearest_stop(start), description="T", continuous_update=True
    )

    def draw() -> Figure:
        return plots.soft_target_bars(logits, class_names, temperatures=[slider.value], label=label, image=image)

    panel = Panel([slider], draw)
    slider.observe(panel.redraw, "value")
    return panel


def distillation_sliders(
    dataset: Dataset | str,
    scenario: Scenario | str = "all-labels",
    student: str = "mlp-32",
    *,
    teacher: Teacher | None = None,
    temperature: float = 4.0,
    lam: float = 0.9,
    epochs: int = 20,
    seeds: int = 5,
) -> Panel:
    """Set T and λ, press the button, and really train: the curves of the student alone and of the distilled one.

    For the first picture students are trained at once, with the ``lam`` given and the stop nearest to ``temperature``.
    After that nothing is trained until the button is pressed.
    """
    losses.check_lam(lam)  # the slider itself would quietly clip it
    t_slider = ipywidgets.SelectionSlider(options=_STEPS, value=_nearest_stop(temperature), description="T")
    lam_slider = ipywidgets.FloatSlider(lam, min=0, max=1, step=0.05, description="λ")
    button = ipywidgets.Button(description="Train", tooltip=f"Train students for {epochs} epochs, with {seeds} seeds")

    def draw() -> Figure:
        lams = sorted({0.0, lam_slider.value})
        result = train_grid(
            dataset,
            scenario,
            student,
            temperatures=[t_slider.value],
            lams=lams,
            seeds=seeds,
            epochs=epochs,
            teacher=teacher,
        )
        curves = {"student alone": result.history[0, 0]}
        if len(lams) > 1:
            curves["distilled"] = result.history[0, 1]
        title = f"T = {t_slider.value:g}, λ = {lam_slider.value:g}"
        return plots.accuracy_curves(curves, teacher=result.teacher.val_accuracy, title=title)

    panel = Panel([t_slider, lam_slider, button], draw)

    def train(_: object) -> None:
        button.disabled, button.description = True, "Training …"
        try:
            panel.redraw()
        finally:
            button.disabled, button.description = False, "Train"

    button.on_click(train)
    return panel


def _nearest_stop(temperature: float) -> float:
    losses.check_temperature(temperature)
    return min(_STEPS, key=lambda stop: abs(stop - temperature))


def _png(figure: Figure) -> bytes:
    picture = figure._repr_png_()  # type: ignore[attr-defined]  # every figure of ``plots`` has it
    assert picture is not None
    return picture
