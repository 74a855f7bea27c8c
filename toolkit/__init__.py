"""Model distillation, small enough to read in an afternoon.

Read in this order; no module imports one that comes after it:

data → scenarios → models → losses → methods → metrics → store → training → grid → compare → compress → deploy → readable →
plots → widgets

* ``losses`` explains distillation by itself: two formulas and their checks.
* ``training`` is the loop that a lesson shows; ``grid`` trains a whole surface of students at once.

Nothing is imported here, so that ``import toolkit`` costs nothing.
"""

__version__ = "0.1.0"
