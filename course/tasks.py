"""The graded functions: how each is diagnosed, its hints, and what the toolkit has of the same."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from course import diagnose_loss, diagnose_soft_targets, diagnose_training
from course.answers import Answer
from toolkit import losses, metrics, training


@dataclass(frozen=True)
class Task:
    """A graded function: how to diagnose it, hints from vague to concrete, and what the toolkit has of the same."""

    diagnose: Callable[[Answer], None]
    hints: tuple[str, ...]
    forbidden: tuple[Callable[..., Any], ...]


TASKS: dict[str, Task] = {
    "softmax_with_temperature": Task(
        diagnose_soft_targets.softmax_with_temperature,
        (
            "T acts on the logits, before anything becomes a probability.",
            "Which axis holds the classes? Each row must sum to 1, for one row and for many.",
            "exp(10000) is infinite. Adding the same number to all logits of a row changes no probability: use that.",
        ),
        (losses.soft_targets,),
    ),
    "entropy": Task(
        diagnose_soft_targets.entropy,
        (
            "Entropy is the mean surprise: each class has a surprise, and is weighted by how likely it is.",
            "The surprise of a class is the negative natural logarithm of its probability.",
            "log 0 is −inf, and 0 · −inf is nan. Decide what such a class adds before the product is formed.",
        ),
        (metrics.entropy,),
    ),
    "soft_loss": Task(
        diagnose_loss.soft_loss,
        (
            "Both sets of logits are divided by T before their softmax.",
            "KL(p ‖ q) weighs the difference of two logarithms by p. Which of the two is the teacher?",
            "Work with log_softmax rather than the logarithm of a softmax: it survives large logits.",
            "Sum over classes, average over the batch, then undo what 1/T did to the gradient, twice.",
            "The teacher is a given, not something to train: cut its logits off from the graph.",
        ),
        (losses.soft_divergence, losses.mixed_loss, losses.distillation_loss),
    ),
    "distillation_loss": Task(
        diagnose_loss.distillation_loss,
        (
            "Two parts, and their shares sum to 1. What should be left at λ = 0, and at λ = 1?",
            "The hard part knows neither teacher nor temperature.",
            "The soft part is what you wrote before, T² included.",
        ),
        (losses.mixed_loss, losses.distillation_loss),
    ),
    "total_loss": Task(
        diagnose_loss.total_loss,
        (
            "Read the article's formula term by term: how many of them carry a weight?",
            "At penalty_weight = 0 the cross entropy must be left, untouched.",
        ),
        (losses.total_loss,),
    ),
    "teacher_logits": Task(
        diagnose_training.teacher_logits,
        (
            "Dropout and batch norm behave differently in training and in use. Which one is this?",
            "Nobody will differentiate through the teacher: PyTorch need not remember how the logits came about.",
            "What the teacher returns are logits already.",
        ),
        (training.predict,),
    ),
    "train_step": Task(
        diagnose_training.train_step,
        (
            "A step has five parts: mode, forward, loss, backward, update. And something must be forgotten in between.",
            "PyTorch adds new gradients to old ones until it is told not to.",
            "A validation may have left the student in another mode than training needs.",
            "A one-element tensor still holds on to its graph; what is asked for is a plain number.",
        ),
        (training.fit,),
    ),
}
