import math
import platform

import pytest

from bench import bound, growth
from bench.growth import Axis, Call, Cost

SMALL = Call(student="mlp-8", temperatures=2, lams=2, examples=100, epochs=1)


def test_exponent_of_a_power_law_is_found_whatever_its_constant():
    sizes = [64, 256, 1024, 4096]
    assert growth.fit_exponent(sizes, [0.003 * size**1.37 for size in sizes]) == pytest.approx(1.37)
    assert growth.fit_exponent(sizes, [5.0] * 4) == pytest.approx(0)


def test_exponent_is_fitted_over_the_upper_sizes_alone():
    axis = Axis("students", {size: Call(seeds=size) for size in (1, 2, 4, 8)}, fit_from=2)
    costs = {call: Cost([float(size**2)], [1.0]) for size, call in axis.calls.items()}
    costs[axis.calls[1]] = Cost([100.0], [1.0])  # a fixed cost that rules small sizes
    assert growth._exponent(axis, costs, growth._grid_time) == pytest.approx(2)
    assert growth._exponent(axis, costs, growth._extra_memory) is None  # which was not measured


def test_multiply_adds_of_the_bound_equal_a_count_by_hand():
    model = {"students": 6, "hidden": 5, "features": 7, "classes": 3, "temperatures": 2}
    counted = bound.multiply_adds(**model, examples=10, validation=9, test=4, batch_size=4, epochs=2)
    first, second, targets = 5 * 7, 3 * 5, (1 + 2) * 3  # for one student and one example
    training = 10 * (2 * first + 3 * second + targets)  # no gradient at the input: the first layer counts twice
    predicting = first + second
    assert counted == 6 * (2 * (training + 9 * predicting) + 4 * predicting)


@pytest.mark.parametrize(("students", "seeds"), [(1, 1), (200, 1), (64, 4), (4096, 64), (300, 3)])
def test_blocks_of_the_bound_hold_every_student_once_and_few_at_a_time(students, seeds):
    sizes = {"hidden": 8, "features": 4, "classes": 3, "examples": 10, "validation": 5}
    blocks = list(bound.Work(students=students, seeds=seeds, **sizes)._blocks())
    assert sum(of_seeds * arms for of_seeds, arms in blocks) == students
    assert max(of_seeds * arms for of_seeds, arms in blocks) <= bound.STUDENTS_AT_ONCE
    alone = bound.multiply_adds(students=1, seeds=1, **sizes)
    assert bound.multiply_adds(students=students, seeds=seeds, **sizes) == students * alone


def test_every_form_of_a_product_gives_a_matrix_of_its_size_or_slices_of_it():
    for shape in (bound.Product(1, 16, 3, 5), bound.Product(4, 6, 3, 5)):
        forms = list(bound._forms(shape))
        for multiply in forms:
            assert multiply().numel() == shape.stacked * shape.rows * shape.columns
        assert len(forms) == (12 if shape.stacked == 1 else 4)


def test_a_small_call_costs_time_and_memory_and_so_does_its_bound():
    cost = growth._in_a_process_of_its_own(growth._cost, SMALL, 2)
    assert (len(cost.grid), len(cost.bound)) == (2, 1)
    assert 0 < min(cost.bound) < math.inf
    assert 0 < min(cost.grid) < math.inf
    if growth._peak_memory() is not None:
        assert cost.extra_memory >= 0
        assert cost.whole_memory > 10  # MiB: the interpreter alone holds more


@pytest.mark.skipif(platform.system() != "Linux", reason="other systems cannot forget an earlier peak")
def test_peak_memory_notices_what_is_given_back_at_once_and_can_start_again():
    growth._forget_peak()
    before = growth._peak_memory()
    bytearray(200 * 2**20)
    assert growth._peak_memory() - before > 150
    growth._forget_peak()
    assert growth._peak_memory() - before < 50


def test_two_ways_take_turns_and_long_ones_take_fewer():
    order = []
    short = growth._in_turns(lambda: order.append("a") or 0.1, lambda: order.append("b") or 0.2, 5)
    assert short == ([0.1] * 5, [0.2] * 5)
    assert "".join(order) == "ab" * 5
    assert len(growth._in_turns(lambda: 8.0, lambda: 4.0, 5)[0]) == 3


def test_random_data_have_the_sizes_asked_for():
    dataset = Call(examples=1000, classes=200).dataset()
    assert (len(dataset.x_train), len(dataset.x_val), len(dataset.x_test)) == (1000, 250, 250)
    assert dataset.classes == 200
    assert Call("images", "cnn-8", examples=100).dataset().input_shape == (1, 28, 28)


def test_both_ways_train_the_same_students():
    call = Call("digits", temperatures=2, lams=3, seeds=2)
    assert call.students == 12
    assert call.temperature_values() == [1, 20]
    assert call.lam_values() == [1, 0.5, 0]


def test_claim_about_memory_can_fail_and_is_judged_by_the_most_students():
    little, much = Cost([1.0], [1.0], 100.0, 500.0), Cost([1.0], [1.0], 3000.0, 3400.0)
    text, holds = growth._memory_claim({64: little, 4096: much})
    assert not holds
    assert "4,096 students need less than 2,048 MiB of extra memory: does NOT hold (3,000 MiB" in text
    assert growth._memory_claim({64: much, 4096: little})[1]
    text, holds = growth._memory_claim({4096: Cost([1.0], [1.0])})
    assert "not measured on this system" in text
    assert holds


def test_report_of_an_axis_names_sizes_ratio_and_exponents_and_the_figure_draws_them():
    axis = Axis("students", {1: Call(seeds=1), 10: Call(seeds=10)}, fit_from=1)
    costs = {axis.calls[1]: Cost([0.2], [0.1], 0.0), axis.calls[10]: Cost([2.0, 3.0, 1.0], [0.5], 30.0)}
    text = growth._axis_text(axis, costs)
    assert text.startswith("| students | train grid | bound | ratio | extra MiB |")
    assert "| 10 | 2 [1–3] | 0.5 [0.5–0.5] | 4.00 | 30 |" in text
    assert "time grows with the power 1.00" in text
    assert "extra memory is not fitted" in text
    figure = growth._figure([axis, axis], costs)
    assert [panel.get_ylabel() for panel in figure.axes] == ["seconds", "", "extra memory, MiB", ""]
    assert any("grid: power 1.00" in text.get_text() for text in figure.axes[0].texts)
