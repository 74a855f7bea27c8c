"""The drawing pad: what one draws goes through teacher and student while it is drawn.

The digits of scikit-learn were bitmaps of 32 × 32, reduced to 8 × 8 by counting ink in blocks of 4 × 4; a drawing is treated
in the same way, for images of any size.
"""

import functools
import re
from typing import TYPE_CHECKING

import numpy as np

from app_support import link
from app_support.component import component
from app_support.look import DISTILLED
from app_support.soft_view import STUDENT, Example, SoftView
from app_support.words import say

if TYPE_CHECKING:
    from torch import nn

BLOCK = 4
_render = component("pad")


def reduce(ink: str, height: int, width: int) -> np.ndarray | None:
    """Reduce a bitmap, given as text of 0 and 1, to an image of shape (1, height, width), values 0 … 1; None without ink.

    >>> reduce("1111" * 2 + "0000" * 2, 1, 1)
    array([[[0.5]]], dtype=float32)
    """
    if len(ink) != BLOCK * BLOCK * height * width or not re.fullmatch("[01]*1[01]*", ink):
        return None
    bits = np.frombuffer(ink.encode(), np.uint8).reshape(height, BLOCK, width, BLOCK) - ord("0")
    return bits.mean((1, 3), dtype=np.float32)[None]


def draw(size: tuple[int, int]) -> np.ndarray | None:
    """Show the sheet, with the drawing of the link at first; gives the reduced image of what is drawn, (1, height, width), or None while it is empty.

    Parameters
    ----------
    size : height and width of the data set's images
    """
    height, width = size
    drawing = link.given("drawing")  # letters that only pad.js reads and writes
    result = _render(
        key=f"pad_{height}_{width}",
        data={
            "words": {name: say(f"soft_targets.pad_{name}") for name in ("hint", "clear", "sheet")},
            "colour": DISTILLED,
            "drawing": drawing,
            "frame": {
                "width": BLOCK * width,
                "height": BLOCK * height,
                "pen": 0.14 * BLOCK * width,
                "fill": 1.0 if height <= 8 else 0.75,
            },
        },
        default={"drawn": {"ink": "", "drawing": drawing}},
        on_drawn_change=lambda: None,
    )
    if drawing := str(result.drawn["drawing"]):
        link.write("drawing", drawing)
    else:
        link.forget("drawing")
    return reduce(str(result.drawn["ink"]), height, width)


def look_at(image: np.ndarray, name: str, view: SoftView) -> Example:
    """Ask teacher and student what they see in an image (1, height, width)."""
    import torch

    from toolkit import training

    x = torch.from_numpy(image)[None]
    models = ((str(view.teacher_name), view.teacher_weights), (STUDENT, view.student_weights))
    logits = (training.predict(_model(model, name, weights.tobytes()), x)[0].tolist() for model, weights in models)
    return Example(image, None, view.class_names.tolist(), *logits)


@functools.lru_cache(maxsize=4)
def _model(model: str, name: str, weights: bytes) -> "nn.Module":
    """Build a model for a data set from the weights of a view."""
    import torch
    from torch.nn.utils import vector_to_parameters

    from app_support import resources
    from toolkit import models

    built = models.build(model, resources.dataset(name), seed=0)
    vector_to_parameters(torch.from_numpy(np.frombuffer(weights, np.float32).copy()), built.parameters())
    return built.eval()
