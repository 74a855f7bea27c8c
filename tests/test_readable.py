import re
import threading
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier

from toolkit import data, losses, metrics, readable


@pytest.fixture(scope="module")
def table():
    return data.load("breast-cancer")


@pytest.fixture(scope="module")
def soft(table):
    """Probabilities that a teacher might give: unsure ones, in favour of the label."""
    logits = torch.randn(len(table.x_train), 2, generator=torch.Generator().manual_seed(0))
    return losses.soft_targets(logits + 3 * torch.nn.functional.one_hot(table.y_train), 1.0)


@pytest.fixture(scope="module")
def three():
    """A table of three classes without names for its columns, in units far from one."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(300, 6)), np.arange(300) % 3
    x[:, 2] += 3 * (y == 1)
    x[:, 0] += 3 * (y == 2)
    return data.from_arrays("three", 50 + 10 * x, y, ["a", "b", "c"])


def step(tree, x, node):
    """Follow one example by hand, in plain Python."""
    while tree.left[node] != -1:
        node = tree.left[node] if float(x[tree.feature[node]]) <= tree.threshold[node] else tree.right[node]
    return node


# ---- What both learn from ------------------------------------------------------------------------------------


def test_each_example_comes_once_for_every_class_and_its_weights_add_up_to_one():
    x, p = torch.arange(6.0).reshape(3, 2), torch.tensor([[0.2, 0.3, 0.5], [1, 0, 0], [0, 0.5, 0.5]])
    rows, classes, weights = readable.weighted_examples(x, p)
    assert rows.tolist() == [[0, 1]] * 3 + [[2, 3]] * 3 + [[4, 5]] * 3
    assert classes.tolist() == [0, 1, 2] * 3
    assert weights == pytest.approx([0.2, 0.3, 0.5, 1, 0, 0, 0, 0.5, 0.5])


def test_a_tree_on_labels_is_scikit_learns_own_tree(table, three):
    for dataset in (table, three):
        own = readable.fit_tree(dataset, depth=3)
        reference = DecisionTreeClassifier(max_depth=3, random_state=0).fit(dataset.x_train, dataset.y_train)
        expected = reference.predict_proba(dataset.x_test.numpy())
        assert own.probabilities(dataset.x_test).numpy() == pytest.approx(expected)
        assert len(own.leaves) == reference.get_n_leaves()


def test_labels_and_probabilities_that_are_certain_give_the_same_models(table, three):
    for dataset in (table, three):
        certain = torch.nn.functional.one_hot(dataset.y_train).float()
        for fit in (readable.fit_tree, readable.fit_sparse_linear):
            one, other = fit(dataset), fit(dataset, certain)
            assert torch.equal(one.probabilities(dataset.x_test), other.probabilities(dataset.x_test))


def test_a_linear_model_of_all_columns_is_logistic_regression(table, three):
    for dataset in (table, three):
        own = readable.fit_sparse_linear(dataset, features=dataset.x_train.shape[1])
        reference = LogisticRegression(max_iter=1000).fit(dataset.x_train.double().numpy(), dataset.y_train)
        expected = reference.predict_proba(dataset.x_test.double().numpy())
        assert own.probabilities(dataset.x_test).numpy() == pytest.approx(expected, abs=1e-3)


def test_both_learn_what_a_teacher_says_where_it_contradicts_the_labels(table):
    upside_down = torch.nn.functional.one_hot(1 - table.y_train).float()
    for fit in (readable.fit_tree, readable.fit_sparse_linear):
        assert metrics.accuracy(fit(table, upside_down).probabilities(table.x_test), table.y_test) < 0.2


def test_shares_of_a_leaf_are_the_mean_of_the_teachers_probabilities_there(table, soft):
    tree = readable.fit_tree(table, soft, depth=2)
    leaf_of = np.array([step(tree, x, 0) for x in table.x_train])
    for leaf in tree.leaves:
        assert tree.shares[leaf] == pytest.approx(soft[leaf_of == leaf].mean(0).numpy(), abs=1e-5)
        assert tree.examples[leaf] == (leaf_of == leaf).sum()


@pytest.mark.parametrize("features", [1, 2, 5])
def test_exactly_so_many_columns_are_used_and_no_other_changes_anything(table, soft, features):
    for targets in (None, soft):
        model = readable.fit_sparse_linear(table, targets, features=features)
        assert len(set(model.features.tolist())) == features == len(model.sentences)
        others = torch.ones(30, dtype=torch.bool)
        others[model.features] = False
        changed = table.x_test.clone()
        changed[:, others] = 7.0
        assert torch.equal(model.probabilities(changed), model.probabilities(table.x_test))
        assert np.abs(model.weights).max(0).min() > 0


def test_the_columns_that_tell_the_classes_apart_are_found(three):
    assert set(readable.fit_sparse_linear(three, features=2).features.tolist()) == {0, 2}
    assert set(readable.fit_tree(three, depth=2).feature.tolist()) - {-2} == {0, 2}


def test_a_deeper_tree_or_one_more_column_fits_the_training_part_no_worse(table):
    fitted = [readable.fit_tree(table, depth=depth).predict(table.x_train) for depth in (1, 2, 3, 4)]
    right = [(classes == table.y_train).sum().item() for classes in fitted]
    assert right == sorted(right)
    surprise = [
        metrics.negative_log_likelihood(
            readable.fit_sparse_linear(table, features=k).probabilities(table.x_train).log(), table.y_train
        )
        for k in (1, 3, 5)
    ]
    assert surprise == sorted(surprise, reverse=True)


def test_fitting_twice_gives_the_same_words(table, soft):
    for fit in (readable.fit_tree, readable.fit_sparse_linear):
        assert fit(table, soft).sentences == fit(table, soft).sentences


# ---- One decision --------------------------------------------------------------------------------------------


def test_the_path_of_each_example_ends_where_its_prediction_comes_from(table, soft):
    tree = readable.fit_tree(table, soft)
    for x, row in zip(table.x_test, tree.probabilities(table.x_test), strict=True):
        path = tree.path(x)
        assert path[0] == 0
        assert path[-1] == step(tree, x, 0)
        assert torch.equal(torch.from_numpy(tree.shares[path[-1]]), row)


def test_steps_hold_the_measured_value_in_the_tables_own_unit(table):
    from sklearn.datasets import load_breast_cancer

    tree, measured = readable.fit_tree(table), load_breast_cancer()
    for x in table.x_test[:20]:
        (patient,) = [row for row in measured.data if np.allclose(row, table.in_units(x).numpy(), rtol=1e-4)]
        for told in tree.decision(x):
            value = patient[list(measured.feature_names).index(told.feature)]
            assert told.value == pytest.approx(value, rel=1e-4, abs=1e-6)
            assert told.goes == ("left" if value <= told.threshold else "right")


def test_a_step_says_what_was_asked_and_answered():
    left = readable.Step(0, "worst concave points", 0.11, 0.14, "left")
    assert left.sentence == "worst concave points 0.11 is at most 0.14: go left"
    assert replace(left, value=1234.5, goes="right").sentence == (
        "worst concave points 1230 is more than 0.14: go right"
    )


def test_an_explanation_ends_with_what_comes_out(table):
    tree = readable.fit_tree(table)
    x = table.x_test[0]
    *steps, last = tree.explanation(x).splitlines()
    assert steps == [told.sentence for told in tree.decision(x)]
    assert last.startswith(f"so: {table.class_names[tree.predict(x[None])[0]]} (")


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
def test_two_numbers_that_differ_are_never_written_alike(value, threshold):
    texts = readable.written_apart(value, threshold)
    assert "e" not in "".join(texts)
    assert (texts[0] == texts[1]) == (value == threshold) or abs(value - threshold) < 1e-12 * abs(value)


def test_the_whole_tree_is_told_question_by_question(three):
    tree = readable.fit_tree(three, depth=1)
    asked, yes, no = tree.sentences
    assert asked == f"{tree.question(0)}?"
    assert asked.startswith("column ")
    assert yes.startswith("    yes: ")
    assert no.startswith("    no: ")
    assert tree.rules == "\n".join(tree.sentences)
    deep = readable.fit_tree(three, depth=3)
    assert len(deep.sentences) == len(deep.feature)
    assert sum("?" not in line for line in deep.sentences) == len(deep.leaves)


def test_thresholds_are_told_in_units(three):
    tree = readable.fit_tree(three, depth=1)
    feature = int(tree.feature[0])
    column = three.in_units(torch.cat([three.x_train, three.x_val, three.x_test]))[:, feature]
    assert column.min() < tree.threshold_in_units(0) < column.max()
    assert tree.threshold_in_units(0) > 20, "standardised it would be near 0"


def test_a_linear_model_speaks_of_odds(table, three):
    model = readable.fit_sparse_linear(table, features=1)
    column = table.feature_names.index(model.feature_names[0])
    raw = table.in_units(table.x_train)[:, column]
    first, second = model.probabilities(torch.stack([torch.zeros(30), torch.ones(30)])).numpy()
    factor = (second[1] / second[0]) / (first[1] / first[0])
    (sentence,) = model.sentences
    told = float(sentence.rsplit(" ", 1)[1])
    assert told == pytest.approx(factor, rel=0.05)
    assert sentence.startswith(f"{model.feature_names[0]}: ")
    deviation = float(sentence.split(": ")[1].split(" ")[0])
    assert deviation == pytest.approx(raw.std(correction=0).item(), rel=0.01)


def test_with_three_classes_odds_are_told_against_the_first(three):
    model = readable.fit_sparse_linear(three, features=1)
    column = int(model.features[0])
    before = torch.zeros(1, *three.input_shape)
    after = before.clone()
    after[0, column] = 1
    first, second = (model.probabilities(x)[0] for x in (before, after))
    (sentence,) = model.sentences
    for c in (1, 2):
        factor = (second[c] / second[0]) / (first[c] / first[0])
        told = re.search(rf"{three.class_names[c]} against {three.class_names[0]} by ([\d.,]+)", sentence)[1]
        assert float(told.rstrip(",")) == pytest.approx(factor.item(), rel=0.05)


@pytest.fixture(scope="module")
def loans():
    """A table with a word's column, 0 or 1, that decides in 4 of 5 cases."""
    rng = np.random.default_rng(1)
    owner, income = rng.integers(0, 2, 400), rng.normal(100, 20, 400)
    bad = np.where(rng.random(400) < 0.8, 1 - owner, owner)
    x = np.stack([income, owner], 1)
    return data.from_arrays("loans", x, bad, ["good", "bad"], feature_names=["income", "home = owner"])


def test_a_words_column_is_told_by_its_word(loans):
    tree = readable.fit_tree(loans, depth=1)
    assert tree.question(0) == "home ≠ owner"
    owners = loans.in_units(loans.x_test)[:, 1] > 0.5
    for x, is_owner in zip(loans.x_test[:20], owners, strict=False):
        (told,) = tree.decision(x)
        assert told.value in (0.0, 1.0), "what was standardised in float32 comes back without a rest"
        assert told.sentence == ("home = owner: go right" if is_owner else "home ≠ owner: go left")


def test_odds_of_a_word_are_those_against_all_other_words(loans):
    model = readable.fit_sparse_linear(loans, features=1)
    (sentence,) = model.sentences
    assert sentence.startswith("home = owner multiplies the odds of bad by 0.")
    owner = loans.in_units(loans.x_train)[:, 1] > 0.5
    bad = loans.y_train.double()
    odds = [bad[own].mean() / (1 - bad[own].mean()) for own in (owner, ~owner)]
    assert float(sentence.rsplit(" ", 1)[1]) == pytest.approx((odds[0] / odds[1]).item(), rel=0.1)


# ---- Over splits ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def scores(cache_folder):
    seen = []
    result = readable.over_splits("breast-cancer", 3, progress=lambda done, total: seen.append((done, total)))
    return result, seen


def test_both_models_are_measured_on_every_split_beside_the_same_teacher(scores, table):
    result, seen = scores
    assert seen == [(1, 3), (2, 3), (3, 3)]
    assert set(result) == {"tree", "linear"}
    for one in result.values():
        for values in (one.teacher, one.on_labels, one.distilled, one.fidelity_on_labels, one.fidelity_distilled):
            assert values.shape == (3,)
            assert ((values > 0.7) & (values <= 1)).all()
        assert one.accuracy_difference.mean == pytest.approx((one.distilled - one.on_labels).mean())
        assert one.teacher_lead.mean == pytest.approx((one.teacher - one.distilled).mean())
        assert one.fidelity_difference.mean == pytest.approx((one.fidelity_distilled - one.fidelity_on_labels).mean())
    assert (result["tree"].teacher == result["linear"].teacher).all()


def test_the_first_split_is_the_one_that_resplit_gives(scores, table):
    part = data.resplit(table, 0)
    expected = metrics.accuracy(readable.fit_tree(part).probabilities(part.x_test), part.y_test)
    assert scores[0]["tree"].on_labels[0] == expected


def test_a_stop_leaves_the_splits_that_were_done(cache_folder):
    stop = threading.Event()
    result = readable.over_splits(
        "breast-cancer", 3, progress=lambda done, total: stop.set() if done == 2 else None, stop=stop
    )
    assert len(result["tree"].distilled) == len(result["linear"].teacher) == 2
    stop.set()
    nothing = readable.over_splits("breast-cancer", 3, progress=lambda done, total: None, stop=stop)
    with pytest.raises(ValueError, match="stopped before its first one was done"):
        _ = nothing["tree"].accuracy_difference


def test_the_interval_over_splits_is_that_of_nadeau_and_bengio():
    differences = np.random.default_rng(0).normal(0.01, 0.02, 20)
    interval = readable.interval_over_splits(differences, 313, 171)
    error = np.sqrt(differences.var(ddof=1) * (1 / 20 + 171 / 313))
    low, high = stats.t.interval(0.95, 19, differences.mean(), error)
    assert (interval.low, interval.high) == pytest.approx((low, high))


# ---- Errors --------------------------------------------------------------------------------------------------


def bad(table, what):
    even = torch.full((len(table.x_train), 2), 0.5)
    return {
        "rows": even[1:],
        "classes": even[:, :1],
        "logits": torch.tensor([2.0, -1.0]).expand_as(even),
        "sum": 1.5 * even,
    }[what]


@pytest.mark.parametrize("fit", [readable.fit_tree, readable.fit_sparse_linear])
@pytest.mark.parametrize(
    ("what", "said"),
    [
        (
            "rows",
            r"must have the shape \(313, 2\), one row for each training example of 'breast-cancer', not \(312, 2\)",
        ),
        ("classes", r"not \(313, 1\)"),
        ("logits", r"are these logits\? losses.soft_targets makes probabilities"),
        ("sum", "add up to 1"),
    ],
)
def test_probabilities_that_do_not_fit_are_refused(table, fit, what, said):
    with pytest.raises(ValueError, match=said):
        fit(table, bad(table, what))


@pytest.mark.parametrize("fit", [readable.fit_tree, readable.fit_sparse_linear])
def test_images_are_refused(digits, fit):
    with pytest.raises(
        ValueError, match=r"'digits' holds examples of the shape \(1, 8, 8\).*needs a table.*breast-cancer"
    ):
        fit(digits)


@pytest.mark.parametrize("value", [0, -1, 2.0, True, "3", None])
def test_what_is_counted_must_be_a_whole_number(table, value):
    for name, call in (
        ("depth", lambda: readable.fit_tree(table, depth=value)),
        ("features", lambda: readable.fit_sparse_linear(table, features=value)),
        ("count", lambda: readable.over_splits(table, value)),
    ):
        with pytest.raises(ValueError, match=f"{name} must be a whole number of at least 1.*not {value!r}"):
            call()


def test_more_columns_than_there_are_are_refused(table):
    with pytest.raises(ValueError, match="features must be a whole number of at least 1 and at most 30, not 31"):
        readable.fit_sparse_linear(table, features=31)


def test_several_examples_at_once_are_refused_where_one_is_asked_for(table):
    tree = readable.fit_tree(table)
    for ask in (tree.path, tree.decision, tree.explanation):
        with pytest.raises(ValueError, match=r"has the shape \(30,\), not \(2, 30\); take one of them"):
            ask(table.x_test[:2])


def test_a_bad_temperature_is_refused_before_anything_is_trained():
    with pytest.raises(ValueError, match="temperature"):
        readable.over_splits("breast-cancer", temperature=0)


def test_a_tree_on_a_table_of_one_column_predicts():
    points = np.linspace(-1, 1, 60)[:, None]
    tree = readable.fit_tree(data.from_arrays("line", points, (points[:, 0] > 0).astype(int)), depth=2)
    assert set(tree.predict(torch.tensor([[-2.0], [2.0]])).tolist()) == {0, 1}
