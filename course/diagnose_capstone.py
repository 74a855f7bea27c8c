"""The capstone: what a recipe must be, before the examiner trains it."""

from typing import Any

from torch import nn

from course import capstone
from course.answers import Answer, Task


def my_recipe(answer: Answer) -> None:
    """Diagnose a recipe: plain data that the examiner accepts, and the same each time it is asked for."""
    first, second = (_recipe(answer) for _ in range(2))
    if first != second:
        raise answer.wrong("your function gives another recipe each time it is called: hand in one that you have tried")


def _recipe(answer: Answer) -> dict[str, Any]:
    given = answer()
    if isinstance(given, nn.Module):
        raise answer.wrong("your function returns a model; a recipe says how to make one, and the exam trains it anew")
    try:
        return capstone.check_recipe(given)
    except ValueError as problem:
        raise answer.wrong(f"your recipe is refused: {problem}") from None


TASKS = {
    "my_recipe": Task(
        my_recipe,
        (
            "capstone.BASELINE is a recipe. A copy of it with one value changed is one, too.",
            "Rehearse before you choose: capstone.rehearse({**capstone.BASELINE, …}). Change one thing at a time.",
            "Three things matter most: what the soft targets can say (T and λ), which network gets the most out of 3,000"
            " parameters, and how long and how fast it learns.",
            "Few images with a good teacher: lesson 05 had that case. What did its surface say of T?",
        ),
        (),
    ),
}
