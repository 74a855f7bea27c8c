import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import nn

from toolkit import losses

TEMPERATURES = st.floats(0.05, 100)
LAMS = st.floats(0, 1)


def logits(largest=30):
    shapes = st.tuples(st.integers(1, 6), st.integers(2, 7))
    return shapes.flatmap(lambda shape: arrays(np.float32, shape, elements=st.floats(-largest, largest, width=32)))


@st.composite
def batches(draw):
    """Student logits, teacher logits and labels that belong together; some labels may be missing."""
    shape = (draw(st.integers(1, 6)), draw(st.integers(2, 7)))
    values = arrays(np.float32, shape, elements=st.floats(-30, 30, width=32))
    classes = st.integers(0, shape[1] - 1)
    labels = draw(st.lists(st.one_of(classes, st.just(-100)), min_size=shape[0], max_size=shape[0]))
    return torch.from_numpy(draw(values)), torch.from_numpy(draw(values)), torch.tensor(labels)


def reference_softmax(z, temperature):
    scaled = np.asarray(z, dtype=np.float64) / temperature
    scaled -= scaled.max(-1, keepdims=True)
    return np.exp(scaled) / np.exp(scaled).sum(-1, keepdims=True)


def reference_log_softmax(z, temperature):
    scaled = np.asarray(z, dtype=np.float64) / temperature
    scaled -= scaled.max(-1, keepdims=True)
    return scaled - np.log(np.exp(scaled).sum(-1, keepdims=True))


def reference_distillation_loss(student, teacher, labels, temperature, lam):
    """Written from the formula, in numpy and float64."""
    soft_rows = (
        reference_softmax(teacher, temperature)
        * (reference_log_softmax(teacher, temperature) - reference_log_softmax(student, temperature))
    ).sum(-1)
    labelled = [i for i, label in enumerate(labels) if label != -100]
    hard_rows = [-reference_log_softmax(student[i], 1)[labels[i]] for i in labelled]
    hard = np.mean(hard_rows) if labelled else 0.0
    return (1 - lam) * hard + lam * temperature**2 * soft_rows.mean()


# ---- Soft targets --------------------------------------------------------------------------------------------


@given(logits(largest=1e4), TEMPERATURES)
def test_soft_targets_are_probabilities_for_every_temperature(z, temperature):
    p = losses.soft_targets(torch.from_numpy(z), temperature)
    assert torch.isfinite(p).all()
    assert (p >= 0).all()
    assert torch.allclose(p.sum(-1), torch.ones(len(z)), atol=1e-5)


@given(logits(), TEMPERATURES)
def test_soft_targets_equal_an_independent_reference(z, temperature):
    p = losses.soft_targets(torch.from_numpy(z), temperature)
    assert np.allclose(p.numpy(), reference_softmax(z, temperature), atol=1e-5)


@given(logits(), TEMPERATURES)
def test_temperature_never_changes_which_class_is_most_likely(z, temperature):
    p = losses.soft_targets(torch.from_numpy(z).double(), temperature)
    best = torch.from_numpy(z).argmax(-1, keepdim=True)
    assert (p.gather(-1, best) >= p.max(-1, keepdim=True).values - 1e-12).all()


@given(logits(), st.floats(1, 20), st.floats(1.1, 5))
def test_entropy_grows_with_temperature(z, temperature, factor):
    z = torch.from_numpy(z).double()
    entropy = [torch.special.entr(losses.soft_targets(z, t)).sum(-1) for t in (temperature, temperature * factor)]
    assert (entropy[1] >= entropy[0] - 1e-9).all()


def test_soft_targets_take_any_number_of_leading_axes():
    assert losses.soft_targets(torch.randn(2, 3, 4), 2.0).shape == (2, 3, 4)
    assert losses.soft_targets(torch.randn(4), 2.0).shape == (4,)


@pytest.mark.parametrize("temperature", [1e-30, 1e30])
def test_soft_targets_survive_extreme_temperatures(temperature):
    p = losses.soft_targets(torch.tensor([[1.0, 2.0, 3.0]]), temperature)
    expected = torch.tensor([[0.0, 0.0, 1.0]]) if temperature < 1 else torch.full((1, 3), 1 / 3)
    assert torch.allclose(p, expected)


# ---- The distillation loss -----------------------------------------------------------------------------------


@given(batches(), TEMPERATURES, LAMS)
def test_distillation_loss_equals_an_independent_reference(batch, temperature, lam):
    student, teacher, labels = batch
    loss = losses.distillation_loss(student, teacher, labels, temperature=temperature, lam=lam)
    expected = reference_distillation_loss(student.numpy(), teacher.numpy(), labels.numpy(), temperature, lam)
    assert loss.item() == pytest.approx(expected, rel=1e-4, abs=1e-4)


@given(batches(), TEMPERATURES)
def test_soft_part_is_never_negative(batch, temperature):
    student, teacher, labels = batch
    assert losses.distillation_loss(student, teacher, labels, temperature=temperature, lam=1).item() >= -1e-9


@given(batches(), TEMPERATURES)
def test_loss_is_zero_when_student_equals_teacher(batch, temperature):
    student, _, labels = batch
    assert losses.distillation_loss(student, student.clone(), labels, temperature=temperature, lam=1).item() == 0


@given(batches(), TEMPERATURES)
def test_lam_zero_is_plain_cross_entropy_to_the_bit(batch, temperature):
    student, teacher, labels = batch
    labels = labels.clamp(min=0)
    loss = losses.distillation_loss(student, teacher, labels, temperature=temperature, lam=0)
    assert torch.equal(loss, F.cross_entropy(student, labels))


@given(batches(), st.floats(0.5, 20), st.sampled_from([(0, 1e-9), (1, 1 - 1e-9)]))
def test_loss_is_continuous_at_both_ends_of_lam(batch, temperature, ends):
    student, teacher, labels = batch
    at, near = (losses.distillation_loss(student, teacher, labels, temperature=temperature, lam=lam) for lam in ends)
    assert at.item() == pytest.approx(near.item(), rel=1e-5, abs=1e-4)


@given(batches(), TEMPERATURES, LAMS)
def test_no_gradient_reaches_the_teacher_and_one_reaches_the_student(batch, temperature, lam):
    student, teacher, labels = (part.clone() for part in batch)
    student.requires_grad_()
    teacher.requires_grad_()
    losses.distillation_loss(student, teacher, labels, temperature=temperature, lam=lam).backward()
    assert teacher.grad is None
    assert student.grad is not None
    assert torch.isfinite(student.grad).all()


def test_gradient_of_the_soft_part_hardly_depends_on_temperature():
    generator = torch.Generator().manual_seed(0)
    student = torch.randn(64, 10, generator=generator, requires_grad=True)
    teacher = 3 * torch.randn(64, 10, generator=generator)
    labels = torch.zeros(64, dtype=torch.long)
    norms = []
    for temperature in (1, 2, 4, 8, 20):
        loss = losses.distillation_loss(student, teacher, labels, temperature=temperature, lam=1)
        norms.append(torch.autograd.grad(loss, student)[0].norm().item())
    assert max(norms) / min(norms) < 1.5


def test_gradient_tends_to_the_difference_of_logits_as_temperature_grows():
    student = torch.randn(4, 5, dtype=torch.double, requires_grad=True)
    teacher = torch.randn(4, 5, dtype=torch.double)
    loss = losses.distillation_loss(student, teacher, torch.zeros(4, dtype=torch.long), temperature=1e4, lam=1)
    gradient = torch.autograd.grad(loss, student)[0]
    centred = (student - student.mean(1, keepdim=True)) - (teacher - teacher.mean(1, keepdim=True))
    assert torch.allclose(gradient, centred / 5 / 4, atol=1e-4)


def test_loss_is_the_batchmean_of_kl_div_and_not_its_mean():
    student, teacher, labels = torch.randn(8, 10), torch.randn(8, 10), torch.zeros(8, dtype=torch.long)
    ours = losses.distillation_loss(student, teacher, labels, temperature=1, lam=1)
    arguments = (F.log_softmax(student, 1), F.softmax(teacher, 1))
    assert ours.item() == pytest.approx(F.kl_div(*arguments, reduction="batchmean").item(), rel=1e-5)
    assert ours.item() == pytest.approx(10 * F.kl_div(*arguments, reduction="mean").item(), rel=1e-5)


@pytest.mark.parametrize("temperature", [0.1, 1.0, 20.0])
def test_logits_of_ten_thousand_stay_finite(temperature):
    student = torch.tensor([[1e4, -1e4, 0.0]], requires_grad=True)
    teacher = torch.tensor([[-1e4, 1e4, 0.0]])
    loss = losses.distillation_loss(student, teacher, torch.tensor([1]), temperature=temperature, lam=0.5)
    loss.backward()
    assert math.isfinite(loss.item())
    assert torch.isfinite(student.grad).all()


def test_hard_part_is_zero_where_no_example_is_labelled():
    student, teacher = torch.randn(3, 4), torch.randn(3, 4)
    nothing = torch.full((3,), -100)
    assert losses.distillation_loss(student, teacher, nothing, temperature=2, lam=0).item() == 0
    half = losses.distillation_loss(student, teacher, nothing, temperature=2, lam=0.5)
    soft = losses.distillation_loss(student, teacher, nothing, temperature=2, lam=1)
    assert half.item() == pytest.approx(soft.item() / 2)


def test_bare_formula_serves_a_stack_of_temperatures_at_once():
    student, teacher = torch.randn(5, 8, 10), torch.randn(8, 10)
    temperatures = torch.tensor([1.0, 2, 4, 8, 20]).view(5, 1, 1)
    stacked = losses.soft_divergence(student, teacher, temperatures)
    one_by_one = [losses.soft_divergence(student[i], teacher, t.item()) for i, t in enumerate(temperatures)]
    assert stacked.shape == (5,)
    assert torch.allclose(stacked, torch.stack(one_by_one))


@pytest.mark.parametrize("temperature", [1e4, 1e8, 1e9, 1e12, 1e200])
def test_a_huge_temperature_gives_the_limit_and_no_rounding_noise(temperature):
    generator = torch.Generator().manual_seed(0)
    student, teacher = torch.randn(6, 5, generator=generator), torch.randn(6, 5, generator=generator)
    gap = (student - student.mean(1, keepdim=True)) - (teacher - teacher.mean(1, keepdim=True))
    loss = losses.distillation_loss(student, teacher, torch.arange(6) % 5, temperature=temperature, lam=1)
    assert loss.item() == pytest.approx(gap.square().sum(1).mean().item() / 2 / 5, rel=1e-3)


@pytest.mark.parametrize("temperature", [1e-40, 1e-310])
def test_a_tiny_temperature_stays_finite(temperature):
    loss = loss_of(student=torch.tensor([[1.0, 2, 3]] * 2), temperature=temperature)
    assert math.isfinite(loss.item())
    assert losses.soft_targets(torch.tensor([1.0, 2.0]), temperature).tolist() == [0, 1]


@pytest.mark.parametrize("dtype", [torch.int16, torch.int32, torch.uint8, torch.int64])
def test_labels_of_any_whole_number_type_are_welcome(dtype):
    labels = torch.tensor([0, 1])
    assert torch.equal(loss_of(labels=labels.to(dtype)), loss_of(labels=labels))


# ---- The article's loss --------------------------------------------------------------------------------------


def small_network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.ReLU(), nn.Linear(3, 2))


@pytest.mark.parametrize(("norm", "of_weight"), [("l1", np.abs), ("l2", np.square)])
def test_penalty_counts_weights_but_no_biases_and_no_norm_layers(norm, of_weight):
    network = small_network()
    expected = sum(of_weight(network[i].weight.detach().numpy().astype(float)).sum() for i in (0, 3))
    assert losses.complexity_penalty(network, norm).item() == pytest.approx(expected, rel=1e-6)


def test_penalty_has_a_gradient():
    network = small_network()
    losses.complexity_penalty(network, "l2").backward()
    assert torch.allclose(network[0].weight.grad, 2 * network[0].weight)


def test_penalty_of_a_model_without_weights_is_zero():
    assert losses.complexity_penalty(nn.Flatten()).item() == 0


@given(st.floats(0, 100), st.floats(0, 100), st.floats(0, 10))
def test_total_loss_is_the_articles_formula(cross_entropy, penalty, weight):
    assert losses.total_loss(cross_entropy, penalty, weight) == cross_entropy + weight * penalty


# ---- Bad input: the message names the argument and the value -------------------------------------------------

GOOD = {"temperature": 2.0, "lam": 0.5}


def loss_of(student=None, teacher=None, labels=None, **changes):
    student = torch.zeros(2, 3) if student is None else student
    teacher = torch.zeros(2, 3) if teacher is None else teacher
    labels = torch.tensor([0, 1]) if labels is None else labels
    return losses.distillation_loss(student, teacher, labels, **GOOD | changes)


@pytest.mark.parametrize("value", [0, -1, -0.5, math.inf, math.nan, "two", None, True])
def test_bad_temperature_is_refused_by_name_and_value(value):
    for call in (lambda: loss_of(temperature=value), lambda: losses.soft_targets(torch.zeros(2, 3), value)):
        with pytest.raises(ValueError, match=f"temperature.*{value!r}"):
            call()


@pytest.mark.parametrize("value", [-0.1, 1.1, math.nan, math.inf, "half", None])
def test_bad_lam_is_refused_by_name_and_value(value):
    with pytest.raises(ValueError, match=f"lam.*{value!r}"):
        loss_of(lam=value)


@pytest.mark.parametrize("value", [-1e-9, math.nan, math.inf, "a little"])
def test_bad_penalty_weight_is_refused_by_name_and_value(value):
    with pytest.raises(ValueError, match=f"penalty_weight.*{value!r}"):
        losses.total_loss(1.0, 1.0, value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"teacher": torch.zeros(2, 4)}, r"student_logits \(2, 3\) and teacher_logits \(2, 4\)"),
        ({"student": torch.zeros(3), "teacher": torch.zeros(3)}, r"shape \(batch, classes\)"),
        ({"labels": torch.tensor([0])}, r"labels must have the shape \(2,\).*not \(1,\)"),
        ({"labels": [0, 1]}, r"labels must be a tensor of class indices, not list"),
        ({"labels": torch.tensor([0, 3])}, r"class indices 0 … 2.*found 3"),
        ({"labels": torch.tensor([0, -1])}, r"found -1"),
        ({"labels": torch.tensor([0.0, 1.0])}, r"labels must be whole numbers.*float32"),
        ({"student": torch.full((2, 3), math.nan)}, r"student_logits must be finite, but one is nan"),
        ({"teacher": torch.full((2, 3), math.inf)}, r"teacher_logits must be finite, but one is inf"),
        ({"student": torch.zeros(2, 3, dtype=torch.long)}, r"student_logits must be a floating-point tensor.*int64"),
        ({"student": [[0.0] * 3] * 2}, r"student_logits must be a floating-point tensor, not list"),
        ({"student": torch.zeros(0, 3), "teacher": torch.zeros(0, 3)}, r"hold at least one value"),
    ],
)
def test_bad_batches_are_refused_with_what_is_wrong(arguments, message):
    with pytest.raises(ValueError, match=message):
        loss_of(**arguments)


def test_unknown_norm_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"unknown norm 'l3'; known are l1, l2"):
        losses.complexity_penalty(nn.Linear(1, 1), "l3")
