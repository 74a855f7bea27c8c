"""Answers to the capstone: recipes that the examiner takes, however they are written, and some that it refuses."""

import itertools
import json

import numpy as np
from torch import nn

from answers import right, wrong
from course import capstone

name = "my_recipe"
QUICK = {**capstone.BASELINE, "epochs": 3}  # what it earns is tested in test_capstone.py


right(name)(lambda: QUICK)
right(name)(lambda: dict(QUICK, temperature=8, lam=1))
right(name)(lambda: json.loads(json.dumps(QUICK)))
right(name)(lambda: QUICK | {"temperature": np.float32(8), "epochs": np.int64(3), "lam": np.float64(1)})
right(name)(lambda: {key: QUICK[key] for key in reversed(QUICK)})
right(name)(lambda: QUICK | {"teacher": None, "lam": 0, "optimizer": "sgd", "epochs": 3.0})


@right(name)
class Recipe:
    """One written as a class."""

    student, teacher, temperature, lam, penalty_weight, norm = "cnn-4", "mlp-512", 4, 0.5, 1e-4, "l1"
    epochs, batch_size, optimizer, learning_rate, weight_decay = 2, 10, "adamw", 0.01, 0

    def __new__(cls):
        return {key: getattr(cls, key) for key in capstone.BASELINE}


calls = itertools.count(2)

wrong(name, "is a return missing?")(lambda: None)
wrong(name, "a recipe says how to make one")(lambda: nn.Linear(64, 10))
wrong(name, "not a list")(lambda: list(QUICK.items()))
wrong(name, "not a str")(lambda: json.dumps(QUICK))
wrong(name, "did you mean 'lam'?")(lambda: {key.replace("lam", "lamda"): value for key, value in QUICK.items()})
wrong(name, "unknown key 'dropout'")(lambda: QUICK | {"dropout": 0.5})
wrong(name, "the key 'norm' is missing")(lambda: {key: value for key, value in QUICK.items() if key != "norm"})
wrong(name, "4,810 parameters, and the budget is 3,000")(lambda: QUICK | {"student": "mlp-64"})
wrong(name, "far over the budget")(lambda: QUICK | {"student": "mlp-99999999"})
wrong(name, "unknown model")(lambda: QUICK | {"student": "transformer"})
wrong(name, "teacher must be one of")(lambda: QUICK | {"teacher": "cnn-33"})
wrong(name, "set it to 0")(lambda: QUICK | {"teacher": None})
wrong(name, "lam must be a number from 0 to 1, not 1.5")(lambda: QUICK | {"lam": 1.5})
wrong(name, "temperature must be a number from 0.1 to 100, not nan")(lambda: QUICK | {"temperature": float("nan")})
wrong(name, "learning_rate must be a number")(lambda: QUICK | {"learning_rate": "0.01"})
wrong(name, "epochs must be a whole number")(lambda: QUICK | {"epochs": 2.5})
wrong(name, "batch_size must be a whole number from 1 to 100")(lambda: QUICK | {"batch_size": 128})
wrong(name, "over the time limit")(lambda: QUICK | {"epochs": 10_000, "batch_size": 1})
wrong(name, "optimizer must be one of adamw, sgd, not 'adam'")(lambda: QUICK | {"optimizer": "adam"})
wrong(name, "another recipe each time")(lambda: QUICK | {"epochs": next(calls)})
