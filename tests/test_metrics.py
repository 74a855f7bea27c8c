import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from toolkit import metrics

LOGITS = torch.tensor([[2.0, 0.0], [0.0, 1.0], [3.0, 0.0], [0.0, 4.0]])
LABELS = torch.tensor([0, 1, 1, 1])


def test_accuracy_and_class_accuracy_count_right_answers():
    assert metrics.accuracy(LOGITS, LABELS) == 0.75
    assert metrics.class_accuracy(LOGITS, LABELS) == pytest.approx([1, 2 / 3])


def test_fidelity_asks_for_agreement_and_not_for_truth():
    assert metrics.fidelity(LOGITS, -LOGITS) == 0
    assert metrics.fidelity(LOGITS, 2 * LOGITS) == 1


def test_nll_is_the_mean_negative_log_probability():
    expected = -np.log([1 / (1 + np.exp(-2)), 1 / (1 + np.exp(-1)), 1 - 1 / (1 + np.exp(-3)), 1 / (1 + np.exp(-4))])
    assert metrics.negative_log_likelihood(LOGITS, LABELS) == pytest.approx(expected.mean())


def test_calibration_error_is_zero_for_honest_confidence_and_large_for_false_confidence():
    honest = torch.tensor([[0.0, np.log(3.0)]] * 4)  # 75 % sure of class 1
    assert metrics.calibration_error(honest, torch.tensor([1, 1, 1, 0])) == pytest.approx(0, abs=1e-6)
    sure = torch.tensor([[0.0, 50.0]] * 4)
    assert metrics.calibration_error(sure, torch.tensor([0, 0, 0, 1])) == pytest.approx(0.75)


def test_entropy_counts_zero_times_log_zero_as_zero():
    p = torch.tensor([[1.0, 0, 0, 0], [0.25, 0.25, 0.25, 0.25]])
    assert metrics.entropy(p).tolist() == pytest.approx([0, np.log(4)])


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=12).filter(lambda values: np.std(values) > 1e-6))
def test_interval_equals_scipys(values):
    interval = metrics.confidence_interval(np.array(values))
    low, high = stats.t.interval(0.95, len(values) - 1, np.mean(values), stats.sem(values))
    assert interval.low == pytest.approx(low)
    assert interval.high == pytest.approx(high)


def test_interval_covers_the_truth_about_19_times_in_20():
    draws = np.random.default_rng(0).normal(1.0, 2.0, (4000, 5))
    interval = metrics.confidence_interval(draws)
    covered = ((interval.low <= 1) & (interval.high >= 1)).mean()
    assert 0.94 < covered < 0.96


def test_one_seed_has_no_interval_and_no_verdict():
    interval = metrics.confidence_interval(np.array([0.3]))
    assert interval.holds_zero
    assert metrics.verdict(interval) == "no measurable difference"
    assert metrics.in_points(interval) == "+30.0 points"


def test_shapes_that_would_broadcast_are_refused():
    for measure in (metrics.accuracy, metrics.class_accuracy, metrics.calibration_error):
        with pytest.raises(ValueError, match=r"labels \(examples,\), not \(4, 2\) and \(4, 1\)"):
            measure(LOGITS, LABELS[:, None])
    with pytest.raises(ValueError, match="do not match"):
        metrics.fidelity(LOGITS, LOGITS[:1])


def test_few_seeds_that_agree_on_one_example_are_no_proof():
    step = 1 / 270
    assert metrics.confidence_interval(np.full(3, step), examples=270).holds_zero
    assert not metrics.confidence_interval(np.full(3, 10 * step), examples=270).holds_zero
    assert metrics.confidence_interval(np.zeros(3), examples=270).high > 0  # seeds that agree by chance are no proof


@pytest.mark.parametrize("seeds", [2, 3, 5, 10])
def test_false_verdicts_stay_rare_where_accuracy_moves_in_steps(seeds):
    generator = np.random.default_rng(0)
    right = generator.binomial(270, 0.97, (2, 4000, seeds))  # two arms without a difference
    differences = (right[0] - right[1]) / 270
    false = ~metrics.confidence_interval(differences, examples=270).holds_zero
    assert false.mean() < 0.065


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([0.01, 0.012, 0.011], "better"),
        ([-0.01, -0.012, -0.011], "worse"),
        ([0.01, -0.012, 0.001], "no measurable difference"),
        ([0.0, 0.0, 0.0], "no measurable difference"),
    ],
)
def test_verdict_follows_the_interval(values, words):
    assert metrics.verdict(metrics.confidence_interval(np.array(values))) == words


def test_points_are_written_with_their_interval():
    assert metrics.in_points(metrics.confidence_interval(np.array([0.01, 0.02, 0.03]))) == "+2.0 points [-0.5, +4.5]"


@pytest.mark.parametrize(
    ("low", "written"),
    [(0.0004, "+0.04"), (-0.0004, "-0.04"), (0.0, "+0.0"), (1e-12, "+0.0"), (0.0006, "+0.1")],
)
def test_an_end_near_zero_shows_on_which_side_it_lies(low, written):
    interval = metrics.Interval(np.array(0.003), np.array(low), np.array(0.007))
    assert metrics.in_points(interval) == f"+0.3 points [{written}, +0.7]"


def test_class_bias_gives_the_highest_accuracy_that_any_bias_can_give():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(200, 4, generator=generator)
    labels = torch.randint(4, (200,), generator=generator)
    logits[torch.arange(200), labels] += 2
    logits[:, 3] -= 5  # as if class 3 had been left out

    def accuracy_with(bias):
        return metrics.accuracy(logits + bias * torch.tensor([0, 0, 0, 1.0]), labels)

    found = metrics.class_bias(logits, labels, of_class=3)
    assert accuracy_with(found) == max(accuracy_with(bias) for bias in np.linspace(-10, 20, 3001))
    assert accuracy_with(found) > accuracy_with(0)


@given(st.integers(0, 10_000), st.integers(1, 8))
def test_holms_intervals_leave_out_zero_exactly_where_his_test_finds_a_difference(seed, comparisons):
    from scipy.stats import ttest_1samp

    generator = np.random.default_rng(seed)
    values = generator.normal(generator.uniform(-1, 1, comparisons)[:, None], 0.5, (comparisons, 5))
    order = np.argsort(p := ttest_1samp(values, 0, axis=1).pvalue)
    found, expected = True, np.zeros(comparisons, dtype=bool)
    for rank, place in enumerate(order):  # step down until one is not found
        found = found and p[place] < 0.05 / (comparisons - rank)
        expected[place] = found
    interval = metrics.holm_intervals(values)
    assert (~interval.holds_zero == expected).all()
    plain = metrics.confidence_interval(values)
    assert (interval.low <= plain.low + 1e-12).all()
    assert (interval.high >= plain.high - 1e-12).all()


def test_a_single_comparison_needs_no_correction_and_a_single_seed_says_nothing():
    values = np.array([[0.01, 0.02, 0.03]])
    assert metrics.holm_intervals(values, examples=100).low == pytest.approx(
        metrics.confidence_interval(values, examples=100).low
    )
    assert np.isinf(metrics.holm_intervals(np.array([[0.1], [0.2]])).low).all()
