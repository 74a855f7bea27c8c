# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% goals [markdown]
# # Beyond pictures
#
# After this lesson you can
# * turn a text into numbers that a network reads, and say what becomes of padding and of unknown letters,
# * distil on language and on speech with the training step that you wrote for digits, unchanged,
# * cut most of a student's weights away, and say whether its teacher helps it to recover.
#
# **You need**: lessons 02 to 05. **Time**: about 60 minutes.
#
# **In the app** (while it runs on this machine): [the page and the settings of this lesson](http://localhost:8501/?lesson=10-beyond-pictures).
#
# Under each function that you write, a check says what is wrong. `checks.hint("one_hot_text")` gives one hint at a
# time.

# %% nbgrader={"grade": false, "grade_id": "set-up", "locked": true, "schema_version": 3, "solution": false, "task": false}
import copy
import functools
import inspect
import itertools

import numpy as np
import torch
from IPython.display import Audio, display
from ipywidgets import Text
from torch import nn
from torch.nn.utils import parametrize

from course import checks
from toolkit import compress, data, metrics, models, plots, scenarios, training
from toolkit.widgets import Panel

torch.set_num_threads(1)  # networks as small as ours do not gain from more

# %% story [markdown]
# ## It began with speech
#
# Distillation became known by digits, but the system that Hinton, Vinyals and Dean (2015, section 4) had in mind
# recognised *speech*, in telephones. One network named 58.9 of 100 frames rightly, ten together 61.1, and one that had
# been distilled from the ten 60.8. Four years later DistilBERT (Sanh et al. 2019) had half of the layers of a language
# model and was nearly as good.
#
# What of all that you have written must change for a name, or for a voice? We shall see: the data, the network, and not
# a line of the training.

# %% [markdown] nbgrader={"grade": true, "grade_id": "prediction", "locked": false, "points": 1, "schema_version": 3, "solution": true, "task": false}
# **Your prediction**: a recurrent teacher knows thousands of names and their languages. A far smaller student sees 1,000
# of them. Will its teacher help it, and will the same be so for spoken prompts? Then three quarters of the student's
# weights are cut away, and it trains on: will it be better off with its teacher or with the labels? Give your reasons.
#
# <!-- BEGIN SOLUTION -->
# Names: yes, the soft targets tell which languages look alike, and 1,000 labels say little of 14 languages. Speech: yes,
# for the same reason, with fewer classes to tell of. After pruning I expect less: few weights are left to follow soft
# targets with, as with the tiny students of lesson 05.
#
# Rubric:
# * 1 point: any prediction with a reason, right or wrong
# <!-- END SOLUTION -->

# %% text-task [markdown]
# ## A name is a signal
#
# A network adds and multiplies. It could be told that *a* is 1 and *z* is 26, but then *b* would lie between *a* and
# *c*, and no letter does. So each letter gets a row of its own, and each place in the name a column: a signal with as
# many channels as there are letters.


# %% nbgrader={"grade": false, "grade_id": "one-hot-text", "locked": false, "schema_version": 3, "solution": true, "task": false}
def one_hot_text(text, alphabet, length):
    """A text as a signal: a row for each character of ``alphabet``, a column for each place.

    text: a string, perhaps empty. alphabet: a string in which no character comes twice. length: a whole
    number of at least 1. Returns a float32 tensor (characters, length): 1 where a place holds the
    character, else 0. A longer text is cut at its end; a shorter one is followed by columns of zeros.
    A character that ``alphabet`` lacks is a column of zeros in its place; "A" and "a" are different.
    """
    ### BEGIN SOLUTION
    signal = torch.zeros(len(alphabet), length)
    for place, character in enumerate(text[:length]):
        if character in alphabet:
            signal[alphabet.index(character), place] = 1
    return signal
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-one-hot-text", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
checks.check(one_hot_text)
### BEGIN HIDDEN TESTS
for text in ("", "q", "Zoë", "anna-maria", "ABBA abba", "x" * 40, "ñandú" * 3):
    for alphabet in ("abcdefghijklmnopqrstuvwxyz", "zyxñúë -AB", "q"):
        for length in (1, 5, 15):
            with checks.without_toolkit("one_hot_text"):
                answer = one_hot_text(text, alphabet, length)
            padded = text[:length] + "\0" * (length - len(text))
            expected = [[float(c == row) for c in padded] for row in alphabet]
            assert answer.dtype == torch.float32, "float32"
            assert answer.tolist() == expected, "a row for each character, a column for each place"
### END HIDDEN TESTS

# %% data-intro [markdown]
# Real names now: first and last names from 14 languages, and beside them half a second each of *spoken prompts* in five
# languages (what a telephone exchange says). Where a data set is missing, a sentence says what to install (START-HERE
# brings all that pip can), and the lesson goes on with other signals.


# %% data tags=["nbval-ignore-output"]
def load_first(*names):
    """The first of these data sets that this machine has; it says what the others need."""
    for name in names:
        try:
            return data.load(name)
        except FileNotFoundError as problem:
            print(f"{problem}\n→ trying the next one instead.")


language = load_first("names", "mnist1d")
speech = load_first("speech", "japanese-vowels", "mnist1d")
twice = ""  # what is to be said before numbers of both
if language.name == speech.name:
    twice = "Language and speech are not on this machine: both are mnist1d, so the numbers come twice.\n"
print(twice, end="")
for dataset in (language, speech):
    print(f"{dataset.name}: {len(dataset.x_train)} examples for training, of {dataset.input_shape}")
    print(f"    {dataset.classes} classes: {', '.join(dataset.class_names)}")
    print(f"    {dataset.provenance}")

# %% spelled tags=["nbval-ignore-output"]
if language.name == "names":
    equal = []
    for x, label in zip(language.x_train[:6], language.y_train[:6], strict=True):
        name = data.spell(language, x)
        yours = one_hot_text(name, language.alphabet, language.input_shape[1])
        equal.append(torch.equal(yours, x))
        print(f"{name}: {language.class_names[label]};", end=" ")
        print(f"yours {tuple(yours.shape)}, the data set's {tuple(x.shape)},", end=" ")
        print("equal" if equal[-1] else "NOT equal")
    print(f"Your function writes {sum(equal)} of {len(equal)} names as the network reads them.")
    assert all(equal)

# %% played [markdown]
# **Listen.** Five languages, but four speakers: English and Spanish are spoken by one and the same person, and each of
# the others has a speaker of its own. So "Italian" means this voice as much as this language: a network that tells it
# from Russian may know no Italian at all, and no test on these recordings can say which of the two it knows. Between
# English and Spanish it *cannot* be the speaker. We shall come back to that. (The recordings are Asterisk's core
# sounds, CC-BY-SA.)

# %% play tags=["nbval-ignore-output"]
if speech.name == "speech":
    for class_index in (0, 1, 3):  # English, Spanish, Italian
        index = (speech.y_test == class_index).nonzero()[0].item()
        recording = data.recording(speech, index)
        print(recording.title)
        display(Audio(recording.samples, rate=recording.rate))

# %% step-intro [markdown]
# ## The same step
#
# Lesson 04 had you write one training step. The toolkit's loop takes the same one; here are its lines, without those
# that watch over budgets and add a penalty. **Predict**: which of them must change for names?

# %% step tags=["nbval-ignore-output"]
source = inspect.getsource(training.fit)
step = ("for batch in ", " = losses.mixed_loss(", ".zero_grad()", ".backward()", "optimizer.step()")
for words in step:
    (line,) = [line.strip() for line in source.splitlines() if words in line]
    print(line if line.startswith("for ") else f"    {line}")
assert not any(word in source for word in ("image", "pixel", "language", "speech"))

# %% step-explained [markdown]
# None. `x[batch]` may hold anything that the model takes, as long as examples lie along its first axis; the loss sees
# logits and labels only. What changes is the network in front. Teachers here are *recurrent*: they read a signal step
# by step and remember.

# %% teachers tags=["nbval-ignore-output"]
recipe = training.Recipe(epochs=6, batch_size=128, learning_rate=0.02)
teachers = {}
print(twice, end="")
for dataset in (language, speech):
    teacher = training.train_teacher(dataset, "gru-64", recipe=recipe)
    teachers[dataset.name] = teacher
    small = models.build("cnn-8", dataset)
    print(f"{dataset.name}: the teacher gets {teacher.val_accuracy:.1%} of validation right")
    for who, network in (("teacher", teacher.model), ("student", small)):
        additions = models.count_multiply_adds(network, dataset.input_shape)
        size = models.count_parameters(network)
        print(f"    {who}: {size:,} parameters, {additions:,} multiply-adds for one example")

# %% name-intro [markdown]
# **Play**: type a name. Where does the teacher place it, and what else does it think of? (T = 4 shows more.)

# %% name tags=["nbval-ignore-output"]
box = Text("zoë", description="name")


def picture():
    length = language.input_shape[1]
    if language.name == "names":
        x = one_hot_text(box.value.lower(), language.alphabet, length)
    else:
        x = language.x_val[0]
    logits = training.predict(teachers[language.name].model, x[None])[0]
    return plots.soft_target_bars(logits, language.class_names, temperatures=(1, 4))


panel = Panel([box], picture)
box.observe(panel.redraw, "value")
panel

# %% voice-or-language-intro [markdown]
# **Voice or language?** Take the test part of two languages, and let the speech teacher choose between these two only.
# If it knew nothing but voices, it would have to guess between English and Spanish, and be right half of the time. If it
# knew nothing but languages, this pair would be one like any other. **Predict**: where among the ten pairs will it be?


# %% voice-or-language tags=["nbval-ignore-output"]
def right_of_two(one, other):
    """Share of the test examples of two classes that the teacher names rightly, with no third to choose."""
    of_both = (speech.y_test == one) | (speech.y_test == other)
    logits = teachers["speech"].test_logits[of_both][:, [one, other]]
    return metrics.accuracy(logits, (speech.y_test[of_both] == other).long())


if speech.name == "speech":
    pairs = list(itertools.combinations(range(speech.classes), 2))
    for one, other in sorted(pairs, key=lambda pair: right_of_two(*pair)):
        names = speech.class_names[one], speech.class_names[other]
        speakers = "one speaker" if set(names) == {"English", "Spanish"} else "two speakers"
        print(f"{' or '.join(names)}, {speakers}: {right_of_two(one, other):.1%} right")
    assert len(pairs) == 10, "each language with each other"
else:
    print("The spoken prompts are not on this machine: this question has to wait.")

# %% voice-or-language-explained [markdown]
# What does the pair with one speaker say? If it is right about half of the time, the teacher goes by the voice; if as
# often as elsewhere, it need not; in between, the voice helps and is not all. A pair has a few hundred windows, and those
# of one prompt are alike, so a few points may be luck. And "not the speaker" is not yet "the language": the two may have
# been recorded in different years, with another microphone. For the nine other pairs voice and language never come
# apart, and these recordings cannot say.

# %% students-intro [markdown]
# ## Students of names and of voices
#
# Each student gets 1,000 examples, drawn anew for each seed, from labels alone or with the teacher's soft targets at
# T = 2, λ = 0.9: of sixteen settings the best on the validation parts of both data sets together.


# %% students tags=["nbval-ignore-output"]
def scenario_of(dataset):
    return scenarios.get("small-transfer-set", examples=min(1000, len(dataset.x_train)))


def students_of(dataset):
    """Four students for each arm, "labels" and "distilled"; both arms of a seed start alike."""
    recipe, found = training.Recipe(epochs=25, learning_rate=0.01), {}
    for arm, lam in (("labels", 0.0), ("distilled", 0.9)):
        options = {
            "temperature": 2,
            "lam": lam,
            "teacher": teachers[dataset.name],
            "recipe": recipe,
        }
        train = functools.partial(training.train_student, dataset, scenario_of(dataset), "cnn-8")
        found[arm] = [train(seed=seed, **options) for seed in range(4)]
    return found


students = {language.name: students_of(language)}


# %% gained tags=["nbval-ignore-output"]
def gain_of(name):
    """How much better the distilled students of a data set are, on its test part."""
    accuracy = {
        arm: np.array([student.test_accuracy for student in found])
        for arm, found in students[name].items()
    }
    gain = metrics.confidence_interval(accuracy["distilled"] - accuracy["labels"])
    print(f"{name}: " + ", ".join(f"{arm} {of.mean():.1%}" for arm, of in accuracy.items()))
    print(f"    {metrics.in_points(gain)}, {metrics.verdict(gain)}")
    return gain


gained = {language.name: gain_of(language.name)}
assert language.name != "names" or gained["names"].mean > 0.01

# %% voices-intro [markdown]
# And speech? The next cell is the same, but for one word.

# %% voices tags=["nbval-ignore-output"]
students[speech.name] = students_of(speech)

# %% voices-gained tags=["nbval-ignore-output"]
print(twice, end="")
gained[speech.name] = gain_of(speech.name)
assert len(students[speech.name]["distilled"]) == 4
plots.differences(gained, title="What the teacher brings, on the test part")

# %% students-explained [markdown]
# Soft targets say in which other languages a name could be at home, and a single label hides that: type a few names
# above, and look at T = 4. The interval is over four seeds; where it holds zero, these data do not decide. Look at the
# teacher then: how much better than the student is it, and how much of what it knows lies beyond the label?
#
# ## Sequences of unequal length
#
# Names are short and long; in a batch they need one length, so the rest is *padding*. The mean over time is then a
# mean over letters and emptiness. What counts is the mean over the steps that each one has.


# %% nbgrader={"grade": false, "grade_id": "masked-mean", "locked": false, "schema_version": 3, "solution": true, "task": false}
def masked_mean(sequence, lengths):
    """Mean over the steps that each example has; padding does not count.

    sequence: float tensor (batch, features, time). lengths: whole numbers (batch,), each from 1 to time;
    from step number lengths[i] on (the first step is number 0) example i is padding, which may hold any
    finite numbers. Returns a float tensor (batch, features), through which gradients flow.
    """
    ### BEGIN SOLUTION
    steps = torch.arange(sequence.shape[2])
    inside = steps < lengths[:, None]  # (batch, time)
    return (sequence * inside[:, None]).sum(2) / lengths[:, None]
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-masked-mean", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
checks.check(masked_mean)
### BEGIN HIDDEN TESTS
for dtype in (torch.float32, torch.float64):
    for batch, features, time in ((1, 1, 1), (7, 3, 11), (4, 5, 6), (20, 2, 3)):
        sequence = (3 * torch.randn(batch, features, time)).to(dtype)
        lengths = torch.randint(1, time + 1, (batch,))
        with checks.without_toolkit("masked_mean"):
            answer = masked_mean(sequence.clone(), lengths.clone())
        expected = np.array(
            [
                s[:, :n].mean(1)
                for s, n in zip(sequence.double().numpy(), lengths.tolist(), strict=True)
            ]
        )
        assert answer.shape == (batch, features), "a mean for each example and feature"
        assert np.allclose(answer.detach().numpy(), expected, atol=1e-4), "the mean without padding"
### END HIDDEN TESTS

# %% reader-intro [markdown]
# A network of your own with it: a convolution that looks at five letters at a time, the mean over all places, one layer.
# It gets its logits from `forward`, like any other; `training.fit` asks for no more. For comparison, the same network
# with the plain mean.


# %% reader
def lengths_of(x):
    """How many steps of each example are not padding: (batch,), at least 1."""
    return (x != 0).any(1).sum(1).clamp(min=1)


class Reader(nn.Module):
    def __init__(self, dataset, masked, width=16):
        super().__init__()
        self.masked = masked
        self.convolution = nn.Conv1d(dataset.input_shape[0], width, 5, padding=2)
        self.output = nn.Linear(width, dataset.classes)

    def forward(self, x):  # (batch, channels, time)
        features = self.convolution(x).relu()  # (batch, width, time)
        return self.output(
            masked_mean(features, lengths_of(x)) if self.masked else features.mean(2)
        )


# %% readers tags=["nbval-ignore-output"]
def distil(network, dataset, seed, temperature=2, lam=0.9, epochs=20, learning_rate=0.005):
    """Train any network on the scenario's examples, with the toolkit's loop."""
    drawn = scenario_of(dataset).draw(dataset, seed)
    x, soft = dataset.x_train[drawn.indices], teachers[dataset.name].train_logits[drawn.indices]
    training.fit(
        network, x, drawn.labels, soft, training.Recipe(epochs=epochs, learning_rate=learning_rate),
        validation=(dataset.x_val, dataset.y_val), temperature=temperature, lam=lam, seed=seed,
    )  # fmt: skip
    return network


readers = {True: [], False: []}
for masked in readers:
    for seed in range(3):
        torch.manual_seed(seed)
        readers[masked].append(distil(Reader(language, masked), language, seed, learning_rate=0.01))


# %% readers-claims tags=["nbval-ignore-output"]
def right(network, x):
    return metrics.accuracy(training.predict(network, x), language.y_test)


means = {
    masked: np.array([right(r, language.x_test) for r in readers[masked]]) for masked in readers
}
print(f"plain mean {means[False].mean():.1%}, masked mean {means[True].mean():.1%}")
apart = metrics.confidence_interval(means[True] - means[False])
print(f"masked against plain: {metrics.in_points(apart)}, {metrics.verdict(apart)}")
assert language.name != "names" or apart.mean > 0.01

# %% padded-intro [markdown]
# Now the test names again, with 20 more columns of padding behind each. Nothing was added that means anything.
# **Predict**: what becomes of each network's *confidence*, its mean probability for the class it chooses?

# %% padded tags=["nbval-ignore-output"]
longer = nn.functional.pad(language.x_test, (0, 20))
for masked, title in ((False, "plain mean"), (True, "masked mean")):
    logits, moved = (training.predict(readers[masked][0], x) for x in (language.x_test, longer))
    before, after = (z.softmax(1).amax(1).mean() for z in (logits, moved))
    changed = (logits.argmax(1) != moved.argmax(1)).float().mean()
    print(f"{title}: confidence {before:.1%}, with more padding {after:.1%}; ", end="")
    print(f"another class for {changed:.1%} of the examples")
    assert torch.allclose(logits, moved, atol=1e-4) == masked, "only the masked mean stays as it is"

# %% padded-explained [markdown]
# With the plain mean a long name speaks louder than a short one, and the more padding, the less is heard of either. The
# masked mean does not notice padding at all. The same care is due wherever the *loss* runs over time: a translation
# model's cross entropy is a mean over real words, and so is its distillation loss.
#
# ## Distil after pruning
#
# A student can also become smaller *after* training: many of its weights are near zero and hardly missed (Han et al.
# 2015). The simplest rule cuts the smallest ones of the whole network.


# %% nbgrader={"grade": false, "grade_id": "magnitude-mask", "locked": false, "schema_version": 3, "solution": true, "task": false}
def magnitude_mask(weights, share):
    """Which weights stay when the smallest ones go.

    weights: list of float tensors of any shapes. share: a number, 0 ≤ share < 1. Returns a list with a tensor
    for each of them, in its shape: 1 where a weight stays, 0 where it goes. Those with the smallest
    absolute values of *all tensors together* go: as many as share times the count of all numbers,
    rounded to the nearest whole number (never a half, and never all). No two are equally large, except
    that several may be 0; at least those then go. Change none of the weights.
    """
    ### BEGIN SOLUTION
    sizes = torch.cat([weight.abs().flatten() for weight in weights]).sort().values
    threshold = sizes[round(share * len(sizes))]
    return [(weight.abs() >= threshold).float() for weight in weights]
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-magnitude-mask", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
checks.check(magnitude_mask)
### BEGIN HIDDEN TESTS
for dtype in (torch.float32, torch.float64):
    for shapes, share in (
        ([(5, 8), (10,)], 0.5),
        ([(2, 3, 4), (16,)], 0.75),
        ([(20,)], 0.1),
        ([(4,), (2, 2)], 0.0),
        ([(10, 5), (50,)], 0.29),
        ([(2, 5)], 0.12),
        ([(9,), (5, 1)], 0.9),
    ):
        count = sum(int(np.prod(shape)) for shape in shapes)
        sizes = (torch.randperm(count) + 1) * 0.01 * (1 - 2 * torch.randint(2, (count,)))
        weights = [
            part.reshape(shape).to(dtype)
            for part, shape in zip(
                sizes.split([int(np.prod(s)) for s in shapes]), shapes, strict=True
            )
        ]
        with checks.without_toolkit("magnitude_mask"):
            answer = magnitude_mask([weight.clone() for weight in weights], share)
        for weight, mask in zip(weights, answer, strict=True):
            expected = weight.abs() > (round(share * count) + 0.5) * 0.01
            assert mask.shape == weight.shape, "a mask in the shape of each tensor"
            assert torch.equal(mask.double(), expected.double()), "the smallest of all go, rounded"
### END HIDDEN TESTS

# %% cut-intro [markdown]
# A weight that was cut must *stay* zero, or the next step brings it back. So the mask becomes a part of the layer: it
# multiplies the weight each time that the layer uses it, and no gradient gets past a zero. Again the loop need not know.


# %% cut tags=["nbval-ignore-output"]
def cut(network, share):
    """A copy in which the smallest weights are zero, and stay zero."""
    network = copy.deepcopy(network)
    layers = [layer for layer in network.modules() if hasattr(layer, "weight")]
    masks = magnitude_mask([layer.weight.detach() for layer in layers], share)
    for layer, mask in zip(layers, masks, strict=True):
        parametrize.register_parametrization(layer, "weight", compress.Mask(mask.bool()))
    return network


whole = students[language.name]["distilled"][0].model
for share in (0.5, 0.75, 0.9):
    pruned = cut(whole, share)
    print(f"{share:.0%} cut: {right(pruned, language.x_test):.1%} right, ", end="")
    print(f"{compress.share_of_zeros(pruned):.0%} of the weights are zero")
    assert torch.equal(pruned[0].weight, compress.prune(whole, share)[0].weight)

# %% again-intro [markdown]
# The more is cut, the more is lost. So the pruned students train on, for 10 epochs: some on the labels, some with
# their teacher. Four seeds, each from the same pruned network. **Predict**: who recovers more, at each share?

# %% again tags=["nbval-ignore-output"]
recovered = {}
for share in (0.5, 0.75):
    for seed in range(4):
        pruned = cut(students[language.name]["distilled"][seed].model, share)
        recovered[share, "not at all", seed] = right(pruned, language.x_test)
        for arm, lam in (("labels", 0.0), ("distilled", 0.9)):
            network = distil(copy.deepcopy(pruned), language, seed, lam=lam, epochs=10)
            recovered[share, arm, seed] = right(network, language.x_test)
            assert compress.share_of_zeros(network) > share - 0.01, "what was cut stays cut"

# %% again-claims tags=["nbval-ignore-output"]
helped = {}
for share in (0.5, 0.75):
    of = {
        arm: np.array([recovered[share, arm, seed] for seed in range(4)])
        for arm in ("not at all", "labels", "distilled")
    }
    print(
        f"{share:.0%} cut, trained on: " + ", ".join(f"{a} {v.mean():.1%}" for a, v in of.items())
    )
    helped[f"{share:.0%} cut"] = metrics.confidence_interval(of["distilled"] - of["labels"])
    print(
        f"    distilled against labels: {metrics.in_points(helped[f'{share:.0%} cut'])}, ", end=""
    )
    print(metrics.verdict(helped[f"{share:.0%} cut"]))
    assert (of["distilled"] > of["not at all"]).all() or share < 0.75 or language.name != "names"

# %% again-picture tags=["nbval-ignore-output"]
plots.differences(helped, title="Distilled after pruning, against labels after pruning")

# %% again-explained [markdown]
# Training on brings much of it back, with either. Does the teacher bring *more*? Read it off your intervals, at each
# share. In runs of ours, with other seeds and budgets, it brought a little at best where half was cut, and nothing that
# could be measured, or less than nothing, where three quarters were: the few weights that are left have to be spent on
# the right class first, and the rest of a soft target is a luxury. It is the tiny student of lesson 05 once more. "Distil
# after pruning" is a recipe to be measured, not a law.
#
# And the size? A zero takes four bytes like any other number, until it is stored otherwise: compressed, or as a list of
# what is left. A sparse network is smaller on disk; faster it is only on hardware and with kernels made for zeros.

# %% pitfalls [markdown]
# ## What could go wrong
#
# * **Windows of one recording on both sides of the split**: the network then knows the recording, and the test part is
#   no test. These data are split by prompt.
# * **What tells the classes apart is not what you think**: a voice instead of a language, a microphone instead of a
#   voice. Good accuracy does not tell; classes that share the suspect, as two languages share a speaker here, may.
# * **Unknown letters and padding** get a meaning by accident: row −1 is the last letter, and index 0 the first.
# * **A mean over padding**: harmless as long as all lengths are alike, and wrong on the first longer text.
# * **The mask is applied once**, after training: the optimizer's next step fills the zeros again.
# * **Pruned and trained on, against not pruned and not trained on**: the arms have had different budgets. Both arms
#   above start from the same network and take the same steps.

# %% questions [markdown]
# ## Questions
#
# 1. The last state of a recurrent network or the mean over all its states: which suffers more from padding, and why?
# 2. Each tensor could lose the same share of its weights instead. Which layer of a student with 71 input channels would
#    be spared then, and when is that better?
# 3. English and Spanish share a speaker. What do your ten pairs say about these two, and why do they say nothing about
#    Italian? Which recordings would you need to find out whether a network knows Italian or a voice?

# %% [markdown] nbgrader={"grade": true, "grade_id": "question-transfer", "locked": false, "points": 2, "schema_version": 3, "solution": true, "task": false}
# **To hand in**: a company wants its speech model on a watch, and proposes: "We prune nine tenths of the weights, then
# distil: the teacher repairs what pruning broke." What do you answer, with your own results? And what must be measured
# before anybody believes that it works on the watch?
#
# <!-- BEGIN SOLUTION -->
# Training on repairs much, but my own runs hardly credit the teacher with it: what it brought over the labels was small
# where half of the weights were cut, and not there where three quarters were. Compare with training on with labels, from the
# same pruned network, with the same steps and several seeds, and with a small dense student of as many weights. On the
# watch: bytes as stored and latency there (zeros save neither by themselves), and accuracy on voices that are not in the
# training data: here only English and Spanish share a speaker, and for every other language nobody can tell it from the
# voice.
#
# Rubric:
# * 1 point: compares distilled with labels after pruning, by an interval of an own run, at equal start and budget
# * 1 point: names a measurement beyond that: stored bytes or latency on the watch, or new voices, with a reason (that
#   the class "cannot be the voice" holds for English and Spanish only; claimed for all five, it is no reason)
# <!-- END SOLUTION -->
