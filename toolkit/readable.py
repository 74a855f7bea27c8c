"""Students that a person can read: a shallow tree, and a linear model of a few features, for tables.

    dataset, and a teacher's probabilities or nothing → ``fit_tree`` or ``fit_sparse_linear`` → ``ReadableTree`` or
    ``ReadableLinear`` → the decision of one example, step by step, in the table's own units

A teacher's probabilities are learned as they are: each example stands once for every class, weighted by its probability.
With labels that weight is 1 for the true class and 0 elsewhere, so that both arms are the same model, fitted in the same way.
Trees that imitate a network: Craven & Shavlik 1996; in medicine: Che et al. 2016.
"""

import itertools
import math
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm.auto import tqdm

from toolkit import losses, metrics, training
from toolkit.data import Dataset, load, resplit

LEAF = -1  # stands for the children of a node that has none


# ---- What both learn from ------------------------------------------------------------------------------------


def weighted_examples(x: Tensor, probabilities: Tensor) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Repeat each example once for every class, with its probability as weight.

    Parameters
    ----------
    x, probabilities : shapes (examples, features) and (examples, classes)

    Returns
    -------
    Rows (examples·classes, features), their classes and their weights, each (examples·classes,)

    >>> weighted_examples(torch.tensor([[5.0]]), torch.tensor([[0.75, 0.25]]))[1:]
    (array([0, 1]), array([0.75, 0.25]))
    """
    examples, classes = probabilities.shape
    rows = x.repeat_interleave(classes, 0).numpy()
    return rows, np.tile(np.arange(classes), examples), probabilities.double().flatten().numpy()


def _targets(dataset: Dataset, probabilities: Tensor | None) -> Tensor:
    """Check what is to be learned: probabilities (examples, classes), of labels one-hot."""
    if dataset.x_train.ndim != 2:
        raise ValueError(
            f"{dataset.name!r} holds examples of the shape {dataset.input_shape}, but a model that can be read needs a "
            "table with one number in each column; try breast-cancer"
        )
    if probabilities is None:
        return F.one_hot(dataset.y_train, dataset.classes).double()
    wanted = (len(dataset.x_train), dataset.classes)
    if tuple(probabilities.shape) != wanted:
        raise ValueError(
            f"probabilities must have the shape {wanted}, one row for each training example of {dataset.name!r}, "
            f"not {tuple(probabilities.shape)}"
        )
    rows = probabilities.sum(1)
    if not bool((probabilities >= 0).all()) or not torch.allclose(rows, torch.ones_like(rows), atol=1e-3):
        raise ValueError(
            "probabilities must be at least 0 and add up to 1 in each row: are these logits? "
            "losses.soft_targets makes probabilities of them"
        )
    return probabilities


def _feature_name(dataset: Dataset, feature: int) -> str:
    return dataset.feature_names[feature] if dataset.feature_names else f"column {feature}"


def _in_units(dataset: Dataset, feature: int, value: float) -> float:
    """Give a standardised value of one column in its own unit, to a millionth of a deviation: float32 holds no more."""
    rows = torch.zeros(2, *dataset.input_shape, dtype=torch.double)
    rows[:, feature] = torch.tensor([value, value + 1])
    here, a_deviation_on = dataset.in_units(rows)[:, feature].tolist()
    return round(here, 6 - math.floor(math.log10(a_deviation_on - here)))


def _check_whole(name: str, value: int, most: int | None = None) -> None:
    at_most = "" if most is None else f" and at most {most}"
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not whole or value < 1 or (most is not None and value > most):
        raise ValueError(f"{name} must be a whole number of at least 1{at_most}, not {value!r}")


# ---- The tree ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Step:
    """One question of a tree, and how one example answers it; value and threshold in the feature's own unit."""

    node: int
    feature: str
    value: float
    threshold: float
    goes: Literal["left", "right"]

    @property
    def asks_for_a_word(self) -> bool:
        """Whether the question is about a column that is 1 for a word, such as "home = owner", and 0 for every other."""
        return _asks_for_a_word(self.feature, self.threshold)

    @property
    def answer(self) -> str:
        """What the example says to a question about a word: "home = owner", or "home ≠ owner"."""
        return self.feature if self.goes == "right" else _another_word(self.feature)

    @property
    def sentence(self) -> str:
        """Say it: "worst area 711 is at most 868: go left", and of a word's column "home = owner: go right"."""
        if self.asks_for_a_word:
            return f"{self.answer}: go {self.goes}"
        value, threshold = written_apart(self.value, self.threshold)
        how = "is at most" if self.goes == "left" else "is more than"
        return f"{self.feature} {value} {how} {threshold}: go {self.goes}"


def _asks_for_a_word(feature: str, threshold: float) -> bool:
    return " = " in feature and 0 < threshold < 1


def _another_word(feature: str) -> str:
    return feature.replace(" = ", " ≠ ")


def written_apart(value: float, threshold: float) -> tuple[str, str]:
    """Write two numbers with three digits, or with as many more as it takes to tell them apart.

    >>> written_apart(0.1398, 0.1402), written_apart(2.0, 2.0)
    (('0.1398', '0.1402'), ('2', '2'))
    """
    for digits in range(3, 18):
        texts = _written(value, digits), _written(threshold, digits)
        if texts[0] != texts[1] or value == threshold:
            break
    return texts


def _written(value: float, digits: int = 3) -> str:
    """Write a number with that many digits, without an exponent and without zeros at its end."""
    text = np.format_float_positional(value, digits, unique=False, fractional=False, trim="-")
    return "0" if text == "-0" else text


def followed(
    feature: np.ndarray, threshold: np.ndarray, left: np.ndarray, right: np.ndarray, x: np.ndarray
) -> list[int]:
    """Follow one example from the root to its leaf: the nodes that it visits, in order.

    Parameters
    ----------
    feature, threshold, left, right : shape (nodes,); what a node asks for, and where it sends an example (−1 at a leaf)
    x : shape (features,)

    >>> node = np.array([0, -1, -1]), np.array([0.5, 0, 0]), np.array([1, -1, -1]), np.array([2, -1, -1])
    >>> followed(*node, np.array([0.5])), followed(*node, np.array([0.6]))
    ([0, 1], [0, 2])
    """
    nodes = [0]
    while left[nodes[-1]] != LEAF:
        here = nodes[-1]
        nodes.append(int(left[here] if x[feature[here]] <= threshold[here] else right[here]))
    return nodes


@dataclass(frozen=True)
class ReadableTree:
    """A tree of questions about single features. Node 0 is the root; its arrays have one entry for each node.

    ``shares`` (nodes, classes) are the mean targets of the training examples that come to a node, and ``examples`` says how
    many these are. Thresholds are standardised, as the examples are; what is said of them is in the table's own units.
    """

    dataset: Dataset = field(repr=False)
    feature: np.ndarray
    threshold: np.ndarray
    left: np.ndarray
    right: np.ndarray
    shares: np.ndarray = field(repr=False)
    examples: np.ndarray = field(repr=False)

    @property
    def leaves(self) -> list[int]:
        """The nodes that ask nothing, from left to right as the tree is drawn."""
        return [node for node, _ in self._from_left() if self.left[node] == LEAF]

    def _from_left(self, node: int = 0, depth: int = 0) -> list[tuple[int, int]]:
        """List nodes with their depths, each before what lies below it."""
        if self.left[node] == LEAF:
            return [(node, depth)]
        below = [self._from_left(int(side[node]), depth + 1) for side in (self.left, self.right)]
        return [(node, depth), *below[0], *below[1]]

    @property
    def places(self) -> list[tuple[float, float]]:
        """Where each node stands in a drawing: leaves side by side from 0 on, a question above the middle of what lies below
        it, at the height 0 for the first one, −1 beneath it, and so on.
        """
        leaves, found = self.leaves, dict[int, tuple[float, float]]()
        for node, depth in reversed(self._from_left()):  # what lies below a node comes before it
            if self.left[node] == LEAF:
                x = float(leaves.index(node))
            else:
                x = (found[int(self.left[node])][0] + found[int(self.right[node])][0]) / 2
            found[node] = (x, -float(depth))
        return [found[node] for node in range(len(found))]

    def probabilities(self, x: Tensor) -> Tensor:
        """Probabilities (examples, classes): the shares of the leaf that each example comes to."""
        rows = x.numpy()
        nodes = np.zeros(len(rows), dtype=np.int64)
        while (inner := self.left[nodes] != LEAF).any():
            is_left = rows[np.arange(len(rows)), self.feature[nodes]] <= self.threshold[nodes]
            nodes = np.where(inner, np.where(is_left, self.left[nodes], self.right[nodes]), nodes)
        return torch.from_numpy(self.shares[nodes])

    def predict(self, x: Tensor) -> Tensor:
        """Classes (examples,)."""
        return self.probabilities(x).argmax(1)

    def path(self, x: Tensor) -> list[int]:
        """Nodes that one example, of shape (features,), visits from the root to its leaf."""
        return followed(self.feature, self.threshold, self.left, self.right, _one(x, self.dataset))

    def decision(self, x: Tensor) -> tuple[Step, ...]:
        """Give every question that one example, of shape (features,), meets, with its answer."""
        nodes, example = self.path(x), _one(x, self.dataset)
        return tuple(
            Step(
                node,
                _feature_name(self.dataset, int(self.feature[node])),
                _in_units(self.dataset, int(self.feature[node]), float(example[self.feature[node]])),
                self.threshold_in_units(node),
                "left" if after == self.left[node] else "right",
            )
            for node, after in itertools.pairwise(nodes)
        )

    def explanation(self, x: Tensor) -> str:
        """Say how one example is decided: a line for each step, and one for what comes out."""
        return "\n".join([*(step.sentence for step in self.decision(x)), f"so: {self.says(self.path(x)[-1])}"])

    def threshold_in_units(self, node: int) -> float:
        """Give the threshold of a node in the unit of its feature."""
        return _in_units(self.dataset, int(self.feature[node]), float(self.threshold[node]))

    def question(self, node: int) -> str:
        """Write what a node asks: "worst area ≤ 868", or "home ≠ owner"; an example that says yes goes left."""
        feature, threshold = _feature_name(self.dataset, int(self.feature[node])), self.threshold_in_units(node)
        if _asks_for_a_word(feature, threshold):
            return _another_word(feature)
        return f"{feature} ≤ {_written(threshold)}"

    def says(self, node: int) -> str:
        """Write what a node takes its examples for: "benign (98 %, 203 training examples)"."""
        best, count = int(self.shares[node].argmax()), int(self.examples[node])
        share = f"{100 * self.shares[node, best]:.0f} %"
        return f"{self.dataset.class_names[best]} ({share}, {count} training example{'s' * (count != 1)})"

    @property
    def sentences(self) -> tuple[str, ...]:
        """Write the whole tree, a line for each question and each leaf, what lies below a question further to the right."""
        sides = {int(self.left[node]): "yes" for node, _ in self._from_left()}
        sides |= {int(self.right[node]): "no" for node, _ in self._from_left()}
        return tuple(
            "    " * depth
            + (f"{sides[node]}: " if node else "")
            + (self.says(node) if self.left[node] == LEAF else f"{self.question(node)}?")
            for node, depth in self._from_left()
        )

    @property
    def rules(self) -> str:
        """The whole tree as one text."""
        return "\n".join(self.sentences)


def _one(x: Tensor, dataset: Dataset) -> np.ndarray:
    if tuple(x.shape) != dataset.input_shape:
        raise ValueError(
            f"one example of {dataset.name!r} has the shape {dataset.input_shape}, not {tuple(x.shape)}; "
            "take one of them, as in dataset.x_test[0]"
        )
    return x.numpy()


def fit_tree(dataset: Dataset, probabilities: Tensor | None = None, *, depth: int = 3) -> ReadableTree:
    """Fit a tree on the training part: on its labels, or on a teacher's probabilities.

    Parameters
    ----------
    probabilities : shape (training examples, classes); without them, the labels
    depth : the most questions that an example may meet

    Raises
    ------
    ValueError
        If the data are no table, probabilities do not fit, or the depth is not a whole number of at least 1.
    """
    from sklearn.tree import DecisionTreeClassifier  # a second of import time, so only where it is used

    _check_whole("depth", depth)
    targets = _targets(dataset, probabilities)
    rows, classes, weights = weighted_examples(dataset.x_train, targets)
    fitted = DecisionTreeClassifier(max_depth=int(depth), random_state=0).fit(rows, classes, weights).tree_
    shares = fitted.value[:, 0]  # (nodes, classes)
    return ReadableTree(
        dataset,
        fitted.feature.clip(0),  # a leaf asks for none; −2 in scikit-learn
        fitted.threshold.copy(),
        fitted.children_left.copy(),
        fitted.children_right.copy(),
        shares / shares.sum(1, keepdims=True),
        np.rint(fitted.weighted_n_node_samples).astype(int),
    )


# ---- The linear model of a few features ----------------------------------------------------------------------


@dataclass(frozen=True)
class ReadableLinear:
    """Logistic regression on a few columns: probabilities are the softmax of ``x[features] @ weights.T + bias``.

    ``features`` (k,) are the columns used; ``weights`` (classes, k) and ``bias`` (classes,) are those of standardised
    columns. With two classes the first has the score 0, so that the weights of the second are those of its log odds.
    """

    dataset: Dataset = field(repr=False)
    features: np.ndarray
    weights: np.ndarray
    bias: np.ndarray

    def probabilities(self, x: Tensor) -> Tensor:
        """Probabilities (examples, classes)."""
        scores = x.double().numpy()[:, self.features] @ self.weights.T + self.bias
        return torch.from_numpy(scores).softmax(1)

    def predict(self, x: Tensor) -> Tensor:
        """Classes (examples,)."""
        return self.probabilities(x).argmax(1)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the columns used."""
        return tuple(_feature_name(self.dataset, int(feature)) for feature in self.features)

    @property
    def sentences(self) -> tuple[str, ...]:
        """Say of each feature, the weightiest first, what one standard deviation more of it (or its word) does to the odds."""
        spread = self.weights.max(0) - self.weights.min(0)
        return tuple(self._sentence(place) for place in spread.argsort()[::-1])

    def _sentence(self, place: int) -> str:
        name, feature = self.feature_names[place], int(self.features[place])
        more = _in_units(self.dataset, feature, 1.0) - _in_units(self.dataset, feature, 0.0)
        steps = 1 / more if " = " in name else 1.0  # from another word to this one
        first, *others = self.dataset.class_names
        weights = self.weights[:, place]
        factors = [_written(float(np.exp(steps * (weight - weights[0]))), 2) for weight in weights[1:]]
        # Of two classes, odds are against the other one anyway.
        against = f" against {first}" if len(others) > 1 else ""
        odds = ", ".join(f"{name}{against} by {factor}" for name, factor in zip(others, factors, strict=True))
        what = name if " = " in name else f"{name}: {_written(more)} more"
        return f"{what} multiplies the odds of {odds}"


def fit_sparse_linear(dataset: Dataset, probabilities: Tensor | None = None, *, features: int = 5) -> ReadableLinear:
    """Fit logistic regression that uses exactly so many columns: on labels, or on a teacher's probabilities.

    Columns come one at a time: always the one along which the loss falls fastest, given those that are there
    (matching pursuit, Lozano et al. 2011). Of several columns that say the same, one is enough.

    Parameters
    ----------
    probabilities : shape (training examples, classes); without them, the labels
    features : how many columns are used

    Raises
    ------
    ValueError
        If the data are no table, probabilities do not fit, or there are not so many columns.
    """
    from sklearn.linear_model import LogisticRegression

    targets = _targets(dataset, probabilities)
    _check_whole("features", features, dataset.x_train.shape[1])
    x = dataset.x_train.double()
    rows, classes, weights = weighted_examples(x, targets)
    predicted = targets.double().mean(0)  # what is said of every example without any column
    chosen: list[int] = []
    while len(chosen) < features:
        gradient = (x.T @ (targets.double() - predicted)).norm(dim=1)  # (features,)
        gradient[chosen] = -1
        chosen.append(int(gradient.argmax()))
        fitted = LogisticRegression(max_iter=1000).fit(rows[:, chosen], classes, weights)
        predicted = torch.from_numpy(fitted.predict_proba(x.numpy()[:, chosen]))  # (examples, classes)
    of_classes, bias = fitted.coef_, fitted.intercept_  # (classes, features), or (1, features) where there are two
    if dataset.classes == 2:
        of_classes, bias = np.vstack([0 * of_classes, of_classes]), np.concatenate([0 * bias, bias])
    return ReadableLinear(dataset, np.array(chosen), of_classes, bias)


# ---- Does the teacher help? ----------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class SplitScores:
    """One kind of model over many splits, fitted on labels and on a teacher's probabilities. Arrays are (splits,), on test parts."""

    teacher: np.ndarray  # accuracy
    on_labels: np.ndarray  # accuracy
    distilled: np.ndarray  # accuracy
    fidelity_on_labels: np.ndarray  # share of examples on which it agrees with the teacher
    fidelity_distilled: np.ndarray
    train_examples: int
    test_examples: int

    @property
    def accuracy_difference(self) -> metrics.Interval:
        """Accuracy of the distilled model minus that of the one fitted on labels, with its corrected interval."""
        return interval_over_splits(self.distilled - self.on_labels, self.train_examples, self.test_examples)

    @property
    def fidelity_difference(self) -> metrics.Interval:
        """The same for the agreement with the teacher."""
        difference = self.fidelity_distilled - self.fidelity_on_labels
        return interval_over_splits(difference, self.train_examples, self.test_examples)

    @property
    def teacher_lead(self) -> metrics.Interval:
        """Accuracy of the teacher minus that of the distilled model: what it costs that it can be read."""
        return interval_over_splits(self.teacher - self.distilled, self.train_examples, self.test_examples)


def interval_over_splits(differences: np.ndarray, train_examples: int, test_examples: int) -> metrics.Interval:
    """Student's t interval of a mean over random splits of the same examples (Nadeau & Bengio 2003).

    Splits overlap, so that their results are no independent draws, and the usual interval is too narrow. The variance of the
    mean is taken to be variance·(1/splits + test/train), where the usual one has variance/splits.

    >>> usual = metrics.confidence_interval(np.array([0.0, 0.02, 0.01, 0.01]))
    >>> corrected = interval_over_splits(np.array([0.0, 0.02, 0.01, 0.01]), 100, 75)
    >>> print(f"{(corrected.high - corrected.mean) / (usual.high - usual.mean):.3f}")
    2.000
    """
    if len(differences) == 0:
        raise ValueError("there is no split to judge by: the work was stopped before its first one was done")
    usual = metrics.confidence_interval(differences, examples=test_examples)
    wider = np.sqrt(1 + len(differences) * test_examples / train_examples)
    return metrics.Interval(usual.mean, *(usual.mean + wider * (edge - usual.mean) for edge in (usual.low, usual.high)))


def over_splits(
    dataset: Dataset | str,
    count: int = 20,
    *,
    depth: int = 3,
    features: int = 5,
    temperature: float = 4.0,
    progress: training.Progress | None = None,
    stop: threading.Event | None = None,
) -> dict[str, SplitScores]:
    """Fit tree and sparse linear model on labels and on a teacher's soft targets, on random splits of the same examples.

    Each split has a teacher of its own (the usual one, cached), which sees the training part alone. Both arms of a split share
    its parts, so that differences are paired; splits overlap, which ``SplitScores`` takes into account.

    Parameters
    ----------
    count : how many splits
    depth, features : of the tree, and of the linear model
    temperature : T of the soft targets
    progress : called with (splits done, splits in all); without one, a progress bar is shown
    stop : a ``threading.Event``; once set, the scores are those of the splits that were done

    Returns
    -------
    "tree" and "linear", and the scores of each

    Raises
    ------
    ValueError
        If the data are no table, or a value is out of range.
    """
    _check_whole("count", count)
    losses.check_temperature(temperature)
    dataset = load(dataset) if isinstance(dataset, str) else dataset
    fits: dict[str, Callable[[Dataset, Tensor | None], ReadableTree | ReadableLinear]] = {
        "tree": lambda part, targets: fit_tree(part, targets, depth=depth),
        "linear": lambda part, targets: fit_sparse_linear(part, targets, features=features),
    }
    scores: dict[str, list[tuple[float, ...]]] = {name: [] for name in fits}
    for seed in tqdm(range(count), desc=f"Splits of {dataset.name}", unit="split", disable=progress is not None):
        part = resplit(dataset, seed)
        teacher = training.train_teacher(part, progress=lambda done, total: None, stop=stop)
        if stop is not None and stop.is_set():
            break
        soft_targets = losses.soft_targets(teacher.train_logits, temperature)
        for name, fit in fits.items():
            outputs = [fit(part, targets).probabilities(part.x_test) for targets in (None, soft_targets)]
            right = [metrics.accuracy(given, part.y_test) for given in (teacher.test_logits, *outputs)]
            agree = [metrics.fidelity(given, teacher.test_logits) for given in outputs]
            scores[name].append((*right, *agree))
        if progress is not None:
            progress(seed + 1, count)
    return {name: _scores(rows, dataset) for name, rows in scores.items()}


def _scores(rows: list[tuple[float, ...]], dataset: Dataset) -> SplitScores:
    columns = np.array(rows).reshape(-1, 5).T
    names = ("teacher", "on_labels", "distilled", "fidelity_on_labels", "fidelity_distilled")
    return SplitScores(
        **dict(zip(names, columns, strict=True)),
        train_examples=len(dataset.x_train),
        test_examples=len(dataset.x_test),
    )
