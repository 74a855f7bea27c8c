import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from toolkit import losses, methods
from toolkit.data import UNLABELLED
from toolkit.models import Outputs


def drawn(seed, *shape, scale=3.0, dtype=torch.float64):
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


seeds = st.integers(0, 10_000)
temperatures = st.floats(0.5, 20)


# ---- Labels --------------------------------------------------------------------------------------------------


@given(seed=seeds, smoothing=st.floats(0, 0.9))
def test_label_smoothing_is_cross_entropy_with_softened_labels(seed, smoothing):
    logits, labels = drawn(seed, 6, 4), drawn(seed + 1, 6, 4).argmax(1)
    soft = (1 - smoothing) * np.eye(4)[labels] + smoothing / 4
    log_p = logits.numpy() - np.log(np.exp(logits.numpy()).sum(1, keepdims=True))
    assert methods.label_smoothing_loss(logits, labels, smoothing=smoothing).item() == pytest.approx(
        -(soft * log_p).sum(1).mean()
    )


@given(seed=seeds)
def test_the_made_up_teacher_is_nearly_sure_and_otherwise_uniform(seed):
    labels = drawn(seed, 5, 4).argmax(1)
    made_up = torch.full((5, 4), 0.01 / 3, dtype=torch.float64).scatter(1, labels[:, None], 0.99)
    assert methods.teacher_free_loss(made_up.log(), labels).item() == pytest.approx(0, abs=1e-9)
    student = drawn(seed + 1, 5, 4)
    expected = losses.soft_divergence(student, made_up.log(), 20.0)
    assert methods.teacher_free_loss(student, labels).item() == pytest.approx(expected.item())


@pytest.mark.parametrize("loss", [methods.label_smoothing_loss, methods.teacher_free_loss])
def test_unlabelled_examples_do_not_count(loss):
    logits, labels = drawn(0, 6, 4), torch.tensor([0, UNLABELLED, 1, 2, UNLABELLED, 3])
    known = labels != UNLABELLED
    assert loss(logits, labels).item() == pytest.approx(loss(logits[known], labels[known]).item())
    assert loss(logits, torch.full((6,), UNLABELLED)).item() == 0


# ---- Outputs -------------------------------------------------------------------------------------------------


@given(seed=seeds)
def test_logit_matching_is_twice_the_limit_of_the_soft_loss_at_high_temperature(seed):
    student, teacher = drawn(seed, 6, 4), drawn(seed + 1, 6, 4)
    student, teacher = (z - z.mean(1, keepdim=True) for z in (student, teacher))
    limit = losses.soft_divergence(student, teacher, 1e4)
    assert methods.logit_matching_loss(student, teacher).item() == pytest.approx(2 * limit.item(), rel=1e-2)


@given(seed=seeds, temperature=temperatures, classes=st.integers(2, 6))
def test_divergence_is_target_part_plus_what_is_left_of_the_others(seed, temperature, classes):
    """The identity of DKD: KL = TCKD + (1 − p)·NCKD."""
    student, teacher, labels = (
        drawn(seed, 5, classes),
        drawn(seed + 1, 5, classes),
        drawn(seed + 2, 5, classes).argmax(1),
    )
    target = methods.target_divergence(student, teacher, labels, temperature=temperature)
    others = methods.others_divergence(student, teacher, labels, temperature=temperature)
    teachers_share = losses.soft_targets(teacher, temperature).gather(1, labels[:, None]).squeeze(1)
    whole = losses.soft_divergence(student, teacher, temperature) / temperature**2
    assert (target + (1 - teachers_share) * others).mean().item() == pytest.approx(whole.item(), rel=1e-6, abs=1e-9)


def test_decoupled_loss_of_a_case_worked_out_by_hand():
    student, teacher = (
        torch.tensor([[0.0, 0.0, 0.0]]).double(),
        torch.tensor([[math.log(6), math.log(3), 0.0]]).double(),
    )
    target = 0.6 * math.log(0.6 / (1 / 3)) + 0.4 * math.log(0.4 / (2 / 3))
    others = 0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5)
    loss = methods.decoupled_loss(
        student, teacher, torch.tensor([0]), temperature=1.0, target_weight=2.0, other_weight=3.0
    )
    assert loss.item() == pytest.approx(2 * target + 3 * others)


def test_decoupled_loss_stays_finite_for_enormous_logits_and_two_classes():
    logits = torch.tensor([[1e4, -1e4], [-1e4, 1e4]], requires_grad=True)
    loss = methods.decoupled_loss(logits, -logits.detach(), torch.tensor([0, 1]))
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(logits.grad).all()


@given(seed=seeds)
def test_mutual_loss_is_cross_entropy_when_both_agree(seed):
    logits, labels = drawn(seed, 5, 4), drawn(seed + 1, 5, 4).argmax(1)
    assert methods.mutual_loss(logits, logits, labels).item() == pytest.approx(F.cross_entropy(logits, labels).item())
    assert methods.mutual_loss(logits, drawn(seed + 2, 5, 4), labels) > F.cross_entropy(logits, labels)


@given(seed=seeds, temperature=temperatures)
def test_an_ensemble_averages_soft_targets_not_logits(seed, temperature):
    teachers = [drawn(seed + n, 4, 3) for n in range(3)]
    mean = sum(losses.soft_targets(logits, temperature) for logits in teachers) / 3
    together = methods.ensemble_logits(teachers, temperature)
    assert torch.allclose(losses.soft_targets(together, temperature), mean, atol=1e-9)
    assert torch.isfinite(methods.ensemble_logits([torch.tensor([[1e4, -1e4]])], 1.0)).all()


# ---- Features ------------------------------------------------------------------------------------------------


def plain_distances(features):
    flat = features.flatten(1).numpy()
    return np.array([[np.sqrt(((one - other) ** 2).sum()) for other in flat] for one in flat])


def huber(values):
    values = np.abs(values)
    return np.where(values < 1, values**2 / 2, values - 0.5).mean()


@given(seed=seeds)
def test_relational_distances_follow_the_formula_pair_by_pair(seed):
    student, teacher = drawn(seed, 5, 3), drawn(seed + 1, 5, 2, 4)
    scaled = [d / d[~np.eye(5, dtype=bool)].mean() for d in (plain_distances(student), plain_distances(teacher))]
    assert methods.relational_distance_loss(student, teacher).item() == pytest.approx(huber(scaled[0] - scaled[1]))


@given(seed=seeds)
def test_relational_angles_follow_the_formula_triangle_by_triangle(seed):
    student, teacher = drawn(seed, 4, 3), drawn(seed + 1, 4, 6)

    def cosines(x):
        x, table = x.numpy(), np.zeros((4, 4, 4))
        for j, i, k in np.ndindex(4, 4, 4):
            if j not in (i, k):
                first, second = x[i] - x[j], x[k] - x[j]
                table[j, i, k] = first @ second / np.linalg.norm(first) / np.linalg.norm(second)
        return table

    expected = huber(cosines(student) - cosines(teacher))
    assert methods.relational_angle_loss(student, teacher).item() == pytest.approx(expected, abs=1e-9)


@given(seed=seeds)
def test_similarities_follow_the_formula(seed):
    def rows(x):
        table = x.flatten(1).numpy() @ x.flatten(1).numpy().T
        return table / np.linalg.norm(table, axis=1, keepdims=True)

    student, teacher = drawn(seed, 5, 3), drawn(seed + 1, 5, 2, 4)
    expected = ((rows(student) - rows(teacher)) ** 2).mean()
    assert methods.similarity_preserving_loss(student, teacher).item() == pytest.approx(expected)


@given(seed=seeds)
def test_attention_maps_follow_the_formula(seed):
    def maps(x):
        energy = (x.numpy() ** 2).mean(1).reshape(len(x), -1)
        return energy / np.linalg.norm(energy, axis=1, keepdims=True)

    student, teacher = drawn(seed, 3, 2, 4, 4), drawn(seed + 1, 3, 5, 4, 4)
    expected = ((maps(student) - maps(teacher)) ** 2).mean()
    assert methods.attention_transfer_loss(student, teacher).item() == pytest.approx(expected)


@given(seed=seeds, factor=st.floats(0.1, 10))
def test_relations_do_not_depend_on_scale_and_place(seed, factor):
    features = drawn(seed, 6, 4)
    moved = factor * features + 7
    assert methods.relational_distance_loss(moved, features).item() == pytest.approx(0, abs=1e-9)
    assert methods.relational_angle_loss(moved, features).item() == pytest.approx(0, abs=1e-9)
    assert methods.similarity_preserving_loss(factor * features, features).item() == pytest.approx(0, abs=1e-9)


FEATURE_LOSSES = [
    methods.relational_distance_loss,
    methods.relational_angle_loss,
    methods.similarity_preserving_loss,
    methods.attention_transfer_loss,
    lambda student, teacher: methods.hint_loss(student, teacher, nn.Identity()),
]


@pytest.mark.parametrize("loss", FEATURE_LOSSES)
@pytest.mark.parametrize("batch", [1, 2, 5])
def test_feature_losses_teach_the_student_alone_and_stay_finite(loss, batch):
    student = drawn(0, batch, 2, 3, 3).requires_grad_()
    teacher = drawn(1, batch, 2, 3, 3).requires_grad_()
    with torch.no_grad():
        student[-1] = student[0]  # two examples coincide: a distance of zero has no slope
    loss(student, teacher).backward()
    assert teacher.grad is None
    assert torch.isfinite(student.grad).all()
    assert loss(teacher, teacher).item() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(
    "loss", [methods.logit_matching_loss, methods.mutual_loss, methods.decoupled_loss, methods.target_divergence]
)
def test_no_gradient_reaches_the_teachers_logits(loss):
    student, teacher = drawn(0, 4, 3).requires_grad_(), drawn(1, 4, 3).requires_grad_()
    labels = () if loss is methods.logit_matching_loss else (torch.tensor([0, 1, 2, 0]),)
    loss(student, teacher, *labels).sum().backward()
    assert teacher.grad is None
    assert student.grad.abs().sum() > 0


@pytest.mark.parametrize(
    ("student", "teacher", "kind"),
    [
        ((3, 4, 4), (6, 4, 4), nn.Conv2d),
        ((3, 10), (6, 10), nn.Conv1d),
        ((7,), (3, 4, 4), nn.Sequential),
        ((3, 8, 8), (6, 4, 4), nn.Sequential),
    ],
)
def test_a_projection_fits_both_shapes_and_comes_from_its_seed(student, teacher, kind):
    one, other = torch.zeros(2, *student), torch.zeros(2, *teacher)
    projection, again, another = (methods.projection_between(one, other, seed) for seed in (0, 0, 1))
    assert isinstance(projection, kind)
    assert projection(one).shape == other.shape
    weights = [next(p.parameters()) for p in (projection, again, another)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


# ---- Errors --------------------------------------------------------------------------------------------------

z, y = torch.zeros(4, 3), torch.tensor([0, 1, 2, 0])


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: methods.label_smoothing_loss(z, y, smoothing=1.0), "smoothing must be a share of at least 0 and below 1, not 1.0"),
        (lambda: methods.teacher_free_loss(z, y, confidence=0.2), "confidence must lie above 1/3 (guessing) and below 1, not 0.2"),
        (lambda: methods.teacher_free_loss(z, y, temperature=0), "temperature must be a finite number above 0"),
        (lambda: methods.logit_matching_loss(z, z[:, :2]), "student_logits (4, 3) and teacher_logits (4, 2)"),
        (lambda: methods.decoupled_loss(z, z, y + 3), "labels must be class indices 0 … 2; found 3"),
        (lambda: methods.decoupled_loss(z, z, y, temperature=math.nan), "temperature must be"),
        (lambda: methods.hint_loss(z, z[:, :2], nn.Identity()), "the projected student_features (4, 3)"),
        (lambda: methods.attention_transfer_loss(z, z), "attention maps need features of shape"),
        (lambda: methods.relational_distance_loss(z, z[:2]), "belong to the same examples, not (4, 3) and (2, 3)"),
        (lambda: methods.relational_angle_loss(z[:, 0], z), "features must have the shape (batch, …)"),
        (lambda: methods.similarity_preserving_loss(z, z[:3]), "belong to the same examples"),
        (lambda: methods.ensemble_logits([], 1.0), "at least one teacher"),
        (lambda: methods.get("magic"), "unknown method 'magic'; known are labels, label-smoothing"),
    ],
)  # fmt: skip
def test_errors_name_the_value(call, said):
    with pytest.raises(ValueError) as caught:
        call()
    assert said in str(caught.value)


# ---- By name -------------------------------------------------------------------------------------------------


def test_there_are_at_least_eleven_ways_each_with_a_sentence_a_paper_and_as_many_tries():
    ways = set(methods.names()) - {"labels"}
    assert len(ways) >= 11
    for name in methods.names():
        method = methods.get(name)
        assert method.name == name
        assert "\n" not in methods.names()[name]
        assert len(method.settings) == 3
        assert len({tuple(sorted(setting)) for setting in method.settings}) == 1, "all settings have the same names"
        assert name == "labels" or method.paper[-4:].isdigit()


@pytest.mark.parametrize("name", sorted(methods.names()))
def test_every_method_gives_named_finite_parts_also_without_labels(name):
    method = methods.get(name)
    student = Outputs(
        drawn(0, 5, 3).requires_grad_(), (drawn(1, 5, 2, 4, 4).requires_grad_(), drawn(2, 5, 3, 2, 2).requires_grad_())
    )
    teacher = Outputs(drawn(3, 5, 3), (drawn(4, 5, 4, 4, 4), drawn(5, 5, 6, 2, 2)))
    setting = {key: value for key, value in method.settings[1].items() if key != "penalty_weight"}
    if name == "hints":
        setting["projection"] = nn.Conv2d(3, 6, 1).double()
    for labels in (torch.tensor([0, 1, 2, 0, 1]), torch.tensor([0, UNLABELLED, 2, UNLABELLED, 1])):
        parts = method.batch_loss(methods.Batch(student, teacher, labels), **setting)
        assert all(torch.isfinite(part) and part.ndim == 0 for part in parts.values())
        sum(parts.values()).backward()
    assert student.logits.grad is not None


def test_attention_says_which_networks_have_maps():
    flat = Outputs(z, (z,))
    with pytest.raises(ValueError, match="attention transfer needs hidden maps of the same size"):
        methods.get("attention").batch_loss(methods.Batch(flat, flat, y), weight=1.0)
