"""Right and wrong answers to every graded function, a module for each lesson: what fairness is measured with.

``right(name)`` and ``wrong(name, said)`` take a function; ``said`` is part of what the feedback must say. A shortcut is
an answer that calls the toolkit's own implementation.
"""

import importlib
import pkgutil

RIGHT, WRONG, SHORTCUTS = {}, {}, []


def right(name):
    return lambda answer: RIGHT.setdefault(name, []).append(answer) or answer


def wrong(name, said):
    return lambda answer: WRONG.setdefault(name, []).append((answer, said)) or answer


def shortcut(name):
    return lambda answer: SHORTCUTS.append((name, answer)) or answer


def load_all():
    """Read the modules of all lessons, so that their answers are registered."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
