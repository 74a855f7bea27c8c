"""The graded functions of all lessons, by name. Each lesson's module says how they are diagnosed, and gives hints."""

from course import (
    diagnose_article,
    diagnose_beyond,
    diagnose_capstone,
    diagnose_choice,
    diagnose_inside,
    diagnose_left_out,
    diagnose_loss,
    diagnose_size,
    diagnose_small_fast,
    diagnose_soft_targets,
    diagnose_training,
)
from course.answers import Task

TASKS: dict[str, Task] = {
    **diagnose_size.TASKS,
    **diagnose_soft_targets.TASKS,
    **diagnose_loss.TASKS,
    **diagnose_training.TASKS,
    **diagnose_choice.TASKS,
    **diagnose_article.TASKS,
    **diagnose_left_out.TASKS,
    **diagnose_inside.TASKS,
    **diagnose_small_fast.TASKS,
    **diagnose_beyond.TASKS,
    **diagnose_capstone.TASKS,
}
