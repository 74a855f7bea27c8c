# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% goals [markdown]
# # The distillation loss
#
# After this lesson you can
# * write the loss by which a student learns from labels and from a teacher at once,
# * say what T² is for, and recognise from a gradient that it is missing,
# * tell the weight λ of the soft part from the weight of the article's complexity term.
#
# **You need**: lesson 02 (temperature, soft targets), cross entropy, what a gradient is. **Time**: about 60 minutes.
#
# **In the app** (while it runs on this machine): [the page and the settings of this lesson](http://localhost:8501/?lesson=03-distillation-loss).
#
# Under each function that you write, a check says what is wrong. `checks.hint("soft_loss")` gives one hint at a time.

# %% nbgrader={"grade": false, "grade_id": "set-up", "locked": true, "schema_version": 3, "solution": false, "task": false}
import warnings

import torch
import torch.nn.functional as F

from course import checks
from toolkit import data, losses, models, training

torch.set_num_threads(1)  # networks as small as ours do not gain from more

# %% two-parts [markdown]
# ## Two sources of knowledge
#
# A student sees an image of a 3 and two opinions. The **label** says: 3. The **teacher** says: 3, though it could be an
# 8, and certainly no 1. Hinton, Vinyals and Dean (2015) let it learn from both:
#
# $$L = (1-\lambda)\,\underbrace{\mathrm{CE}(y, z_s)}_{\text{hard part}}
#     + \lambda\,\underbrace{T^2\,\mathrm{KL}\big(p_T(z_t)\,\|\,p_T(z_s)\big)}_{\text{soft part}}$$
#
# $z_s$ and $z_t$ are the logits of student and teacher, $p_T$ is the softmax at temperature T, and $y$ are the labels.

# %% [markdown] nbgrader={"grade": true, "grade_id": "prediction", "locked": false, "points": 1, "schema_version": 3, "solution": true, "task": false}
# **Your prediction**: suppose that T² is forgotten. From T = 1 to T = 20, does the gradient that the soft part sends into
# the student grow, stay, or shrink, and by what factor, roughly? Give your reason.
#
# <!-- BEGIN SOLUTION -->
# It shrinks. The logits are divided by T, which makes one factor 1/T in the derivative; the tempered probabilities also
# come closer to each other, which for large T makes about another. Both together would be a factor of 20² = 400; it is
# less, since at small T the probabilities come closer more slowly than that. Tens to some hundreds of times.
#
# Rubric:
# * 1 point: any prediction with a reason, right or wrong
# <!-- END SOLUTION -->

# %% soft-task [markdown]
# ## The soft part
#
# The divergence $\mathrm{KL}(p \,\|\, q) = \sum_i p_i\,(\log p_i - \log q_i)$ asks how badly $q$ describes $p$: it is never
# negative, and 0 only where both are the same. *Sum over the classes, average over the batch*, times T². The teacher is a
# given: no gradient may reach its logits.


# %% nbgrader={"grade": false, "grade_id": "soft-loss", "locked": false, "schema_version": 3, "solution": true, "task": false}
def soft_loss(student_logits, teacher_logits, temperature):
    """T²·KL(teacher ‖ student) as one number; logits of shape (batch, classes), up to ±10,000."""
    ### BEGIN SOLUTION
    log_teacher = F.log_softmax(teacher_logits.detach() / temperature, dim=-1)
    log_student = F.log_softmax(student_logits / temperature, dim=-1)
    divergence = (log_teacher.exp() * (log_teacher - log_student)).sum(dim=-1)
    return temperature**2 * divergence.mean()
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-soft-loss", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
checks.check(soft_loss)
### BEGIN HIDDEN TESTS
for batch, dtype in ((6, torch.float32), (1, torch.float64)):
    student, teacher_z = (2 * torch.randn(batch, 5, dtype=dtype).requires_grad_() for _ in range(2))
    tempered = F.log_softmax(student / 2.5, -1), F.log_softmax(teacher_z.detach() / 2.5, -1)
    expected = 6.25 * F.kl_div(*tempered, reduction="batchmean", log_target=True)
    with checks.without_toolkit("soft_loss"):
        answer = soft_loss(student, teacher_z, 2.5)
        extreme = soft_loss(student.sign() * 1e4, -student.sign() * 1e4, 2.0)
    assert type(answer) is torch.Tensor
    assert answer.shape == ()
    assert bool(extreme.isfinite())
    torch.testing.assert_close(answer, expected, check_dtype=False, rtol=1e-4, atol=1e-4)
    gradients = torch.autograd.grad(answer, (student, teacher_z), allow_unused=True)
    wanted = torch.autograd.grad(expected, student)[0]
    torch.testing.assert_close(gradients[0], wanted, check_dtype=False, rtol=1e-3, atol=1e-4)
    assert gradients[1] is None or not gradients[1].any()
### END HIDDEN TESTS

# %% temperature-question [markdown]
# ## Why T²?
#
# A real teacher on real digits, and a student that has learned nothing yet. We measure the length (*norm*) of the gradient
# at the student's logits, once with your loss and once without its factor.

# %% teacher tags=["nbval-ignore-output"]
digits = data.load("digits")
teacher = training.train_teacher(digits)
student = models.build("mlp-32", digits, seed=0)
images, teacher_z, labels = digits.x_train[:64], teacher.train_logits[:64], digits.y_train[:64]
student_z = student(images).detach().requires_grad_()

# %% gradient-norms tags=["nbval-ignore-output"]
with_factor, without_factor = {}, {}
for temperature in (1, 2, 4, 8, 20):
    loss = soft_loss(student_z, teacher_z, temperature)
    (gradient,) = torch.autograd.grad(loss, student_z)
    with_factor[temperature] = gradient.norm().item()
    without_factor[temperature] = gradient.norm().item() / temperature**2
    with_it, without_it = with_factor[temperature], without_factor[temperature]
    print(f"T = {temperature:2}: with T² {with_it:.3f}, without {without_it:.4f}")
shrinks = without_factor[1] / without_factor[20]
print(f"Without T²: the gradient at T = 1, divided by that at T = 20, is {shrinks:.0f}.")
assert shrinks > 30
warm = [with_factor[temperature] for temperature in (4, 8, 20)]
print(f"With T², those from T = 4 to T = 20 differ by a factor of {max(warm) / min(warm):.1f}.")
assert max(warm) < 2 * min(warm)
assert with_factor[20] > with_factor[1], "it does not vanish"

# %% gradient-explained [markdown]
# At the student's logits, one example's divergence has the gradient $\big(p_T(z_s) - p_T(z_t)\big)/T$: dividing by T puts
# one factor 1/T there. The tempered probabilities also move closer to one another, and for a large T their difference is
# itself proportional to 1/T. T² makes up for both: the larger T, the more exactly. At a low T the gradient still depends on
# T, as the first rows show for this very sure teacher: T² keeps it of one order, it does not make it constant. Without it, raising T would silently
# turn the soft part *off*, and λ would mean something else at every temperature.
#
# For T → ∞ one example's gradient, T² included, becomes $(\bar z_s - \bar z_t)/C$, where $C$ is the number of classes and
# $\bar z$ are *centred* logits: those of an example minus their mean over the classes. The mean over a batch of $B$
# examples divides it by $B$. It is the gradient of $\|\bar z_s - \bar z_t\|^2 / (2C)$: the student copies the teacher's
# logits, up to one number per example that no softmax sees.

# %% limit tags=["nbval-ignore-output"]
hot = 1000.0
(gradient,) = torch.autograd.grad(soft_loss(student_z.double(), teacher_z.double(), hot), student_z)
centred = [z - z.mean(-1, keepdim=True) for z in (student_z.detach(), teacher_z)]
limit = (centred[0] - centred[1]) / digits.classes / len(images)
difference = (gradient - limit).abs().max() / limit.abs().max()
print(f"largest difference from the limit: {difference:.1%} of the largest entry")
assert difference < 0.05

# %% mean-trap-intro [markdown]
# ## What could go wrong: one word too few
#
# PyTorch has this divergence: `F.kl_div(log_student, teacher, reduction=…)`. Its default is `"mean"`, of which PyTorch's
# own documentation says that it is not the true divergence. **Predict**: by what factor does it differ from your loss, at
# T = 1 and with ten classes?

# %% mean-trap
generator = torch.Generator().manual_seed(0)
log_student, teacher_p = (torch.randn(64, 10, generator=generator) for _ in range(2))
log_student, teacher_p = F.log_softmax(log_student, -1), F.softmax(teacher_p, -1)
with warnings.catch_warnings(action="ignore"):  # PyTorch does warn; a busy notebook hides it
    mean = F.kl_div(log_student, teacher_p)
yours = soft_loss(log_student, teacher_p.log(), 1.0)  # logarithms of probabilities are logits too
print(f"yours / mean = {yours / mean:.3f}")
torch.testing.assert_close(yours, 10 * mean)

# %% mean-trap-explained [markdown]
# `"mean"` divides by *every* number, those of the classes too, so that the soft part loses a factor equal to the number
# of classes, and λ = 0.9 no longer means 0.9.

# %% mixed-task [markdown]
# ## Both parts together
#
# λ is the share of the *soft* part. (Some libraries weigh the hard part instead: read before you compare.) Build on your
# `soft_loss`.


# %% nbgrader={"grade": false, "grade_id": "distillation-loss", "locked": false, "schema_version": 3, "solution": true, "task": false}
def distillation_loss(student_logits, teacher_logits, labels, temperature, lam):
    """(1 − λ)·cross entropy + λ·soft loss; labels (batch,) are class indices.

    Logits of shape (batch, classes), up to ±10,000. Returns one number.
    """
    ### BEGIN SOLUTION
    hard = F.cross_entropy(student_logits, labels)
    return (1 - lam) * hard + lam * soft_loss(student_logits, teacher_logits, temperature)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-distillation-loss", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
checks.check(distillation_loss)
### BEGIN HIDDEN TESTS
for batch, dtype in ((6, torch.float32), (1, torch.float64)):
    one, other = (2 * torch.randn(batch, 5, dtype=dtype).requires_grad_() for _ in range(2))
    y = torch.randint(5, (batch,))
    tempered = F.log_softmax(one / 3, -1), F.log_softmax(other.detach() / 3, -1)
    soft = 9 * F.kl_div(*tempered, reduction="batchmean", log_target=True)
    for share in (0.0, 0.3, 1.0):
        expected = (1 - share) * F.cross_entropy(one, y) + share * soft
        with checks.without_toolkit("distillation_loss"):
            answer = distillation_loss(one, other, y, 3.0, share)
        assert type(answer) is torch.Tensor
        assert answer.shape == ()
        torch.testing.assert_close(answer, expected, check_dtype=False, rtol=1e-4, atol=1e-4)
        gradients = torch.autograd.grad(answer, (one, other), retain_graph=True, allow_unused=True)
        wanted = torch.autograd.grad(expected, one, retain_graph=True)[0]
        torch.testing.assert_close(gradients[0], wanted, check_dtype=False, rtol=1e-3, atol=1e-4)
        assert gradients[1] is None or not gradients[1].any()
    large, unlikely = 1e4 * one.detach().sign(), one.argmin(-1)
    extreme = distillation_loss(large, other, unlikely, 3.0, 0.0)
    expected = F.cross_entropy(large.double(), unlikely)
    torch.testing.assert_close(extreme, expected, check_dtype=False, rtol=1e-3, atol=1e-3)
### END HIDDEN TESTS

# %% against-toolkit-intro [markdown]
# Your loss and the toolkit's were written independently. Do they agree on the real teacher?

# %% against-toolkit tags=["nbval-ignore-output"]
for lam in (0.0, 0.5, 1.0):
    yours = distillation_loss(student_z, teacher_z, labels, 4.0, lam)
    toolkits = losses.distillation_loss(student_z, teacher_z, labels, temperature=4.0, lam=lam)
    print(f"λ = {lam}: yours {yours.item():.4f}, the toolkit's {toolkits.item():.4f}")
    torch.testing.assert_close(yours, toolkits, rtol=1e-4, atol=1e-4)

# %% article-task [markdown]
# ## Another λ: the article's total loss
#
# The article that this course grew from (《深入理解模型蒸馏:从理论到实践》) gives $L_{total} = L_{ce} + \lambda L_f$. Its λ weighs $L_f$, a penalty on the
# student's *weights*: the sum of their absolute values (L1) or of their squares (L2). That is not the λ above, so we call
# it $\lambda_f$, in code `penalty_weight`.


# %% nbgrader={"grade": false, "grade_id": "total-loss", "locked": false, "schema_version": 3, "solution": true, "task": false}
def total_loss(cross_entropy, penalty, penalty_weight):
    """The article's total loss, from its two terms and the weight of the second."""
    ### BEGIN SOLUTION
    return cross_entropy + penalty_weight * penalty
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-total-loss", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
checks.check(total_loss)
### BEGIN HIDDEN TESTS
for dtype in (torch.float32, torch.float64):
    term, norm = (torch.rand((), dtype=dtype, requires_grad=True) for _ in range(2))
    with checks.without_toolkit("total_loss"):
        answer = total_loss(term, norm, 0.37)
    assert type(answer) is torch.Tensor
    torch.testing.assert_close(answer, term + 0.37 * norm, check_dtype=False)
    gradients = torch.autograd.grad(answer, (term, norm))
    torch.testing.assert_close(torch.stack(gradients), torch.tensor([1.0, 0.37], dtype=dtype))
### END HIDDEN TESTS

# %% penalty-intro [markdown]
# **Predict**: L1 and L2 both make weights smaller. Which of them makes more weights *almost zero*? We train three
# students that differ only in the penalty.

# %% penalty tags=["nbval-ignore-output"]
nearly_zero = {}
for norm, penalty_weight in (("l2", 0.0), ("l2", 0.001), ("l1", 0.001)):
    trained = training.train_student(
        digits,
        lam=0.5,
        penalty_weight=penalty_weight,
        norm=norm,
        teacher=teacher,
        recipe=training.Recipe(epochs=20),
    )
    weights = torch.cat(
        [weight.detach().flatten() for weight in losses.penalised_weights(trained.model)]
    )
    name = norm if penalty_weight else "none"
    nearly_zero[name] = (weights.abs() < 0.01).double().mean().item()
    share, accuracy = nearly_zero[name], trained.val_accuracy
    print(f"penalty {name:4}: {share:.0%} of weights below 0.01, validation {accuracy:.1%} right")
assert nearly_zero["l1"] > 1.5 * nearly_zero["l2"] > 1.5 * nearly_zero["none"]

# %% penalty-explained [markdown]
# The slope of $|w|$ is as steep for small weights as for large ones: L1 keeps pushing until a weight is nearly gone. The
# slope of $w^2$ is $2w$, which fades as $w$ does. Neither penalty knows the teacher: with $\lambda_f$ alone there is no distillation.

# %% pitfalls [markdown]
# ## What could go wrong
#
# * **Teacher and student swapped** in the divergence: the loss still falls, and is still 0 for a perfect copy. But a
#   student that cannot copy everything may then drop classes that the teacher finds possible, at little cost.
# * **A probability where a logarithm belongs**: `F.kl_div` wants log-probabilities first; otherwise the "loss" turns negative.
# * **Only the teacher tempered**: then the loss is not zero for a student that equals its teacher.
# * **A gradient into the teacher**: where an optimizer holds its weights too, it learns from the student, and both meet
#   in the middle.

# %% questions [markdown]
# ## Questions
#
# 1. At λ = 1 no label is used. What does the student learn then about an image that the teacher gets wrong?
# 2. Cross entropy with soft targets, and the divergence, give the student the same gradient. Why? Which one is zero at
#    the goal?
# 3. The article prints $L_{ce} = -\sum_n \sum_c y_{n,c} \log P_{soft}(c \mid x_n)$, where $P_{soft}$ is made from the
#    *teacher's* outputs. What gradient does the student get from it?

# %% [markdown] nbgrader={"grade": true, "grade_id": "question-weights", "locked": false, "points": 2, "schema_version": 3, "solution": true, "task": false}
# **To hand in**: somebody without T² finds that T = 8 "works best at λ = 0.99" and that with T² the best λ is much lower.
# How do the two findings fit together?
#
# <!-- BEGIN SOLUTION -->
# Without T² the soft part is T² = 64 times weaker, so λ must come very near to 1 before it counts as much as the hard
# part: the weights 0.01 and 0.99/64 are in the same ratio as 0.39 and 0.61, so it is λ = 0.61 where T² is there. Both found
# about the same balance of the two gradients; only the number that describes it differs.
#
# Rubric:
# * 1 point: without T² the soft part is 64 times weaker, so that λ must come near to 1 to make up for it
# * 1 point: both found about the same balance of the two parts; a λ that was found without T² can't be used with it
# <!-- END SOLUTION -->
