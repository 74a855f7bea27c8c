"""Answers to lesson 10: a text as a signal, a mean without padding, a mask for pruning."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from answers import right, shortcut, wrong
from toolkit import compress, readers

# ---- one_hot_text --------------------------------------------------------------------------------------------

name = "one_hot_text"


@right(name)
def by_a_loop(text, alphabet, length):
    result = torch.zeros(len(alphabet), length)
    for place, character in enumerate(text[:length]):
        if character in alphabet:
            result[alphabet.index(character), place] = 1
    return result


@right(name)
def by_comparison(text, alphabet, length):
    padded = text[:length].ljust(length, "\0")
    return torch.tensor([[float(character == row) for character in padded] for row in alphabet])


@right(name)
def by_torch(text, alphabet, length):
    places = {character: row for row, character in enumerate(alphabet)}
    rows = [places.get(character, len(alphabet)) for character in text[:length]]
    rows += [len(alphabet)] * (length - len(rows))
    return F.one_hot(torch.tensor(rows), len(alphabet) + 1)[:, :-1].T.float()


@right(name)
def by_numpy(text, alphabet, length):
    result = np.zeros((len(alphabet), length), dtype=np.float32)
    for place in range(min(len(text), length)):
        row = alphabet.find(text[place])
        if row >= 0:
            result[row][place] = 1.0
    return torch.from_numpy(result)


@right(name)
class ByCodes:
    """All at once, by the numbers of the characters."""

    def __new__(cls, text, alphabet, length):
        codes = torch.tensor([ord(character) for character in text[:length]] + [-1] * (length - len(text)))
        return (torch.tensor([ord(character) for character in alphabet])[:, None] == codes).to(torch.float32)


@right(name)
def by_identity(text, alphabet, length):
    rows = torch.cat([torch.eye(len(alphabet)), torch.zeros(1, len(alphabet))])  # the last one for strangers
    columns = [rows[alphabet.find(character)] for character in text[:length]]
    return torch.stack(columns + [rows[-1]] * (length - len(columns)), dim=1)


def raises_for_strangers(text, alphabet, length):
    result = torch.zeros(len(alphabet), length)
    for place, character in enumerate(text[:length]):
        result[alphabet.index(character), place] = 1
    return result


def raises_for_long_ones(text, alphabet, length):
    result = torch.zeros(len(alphabet), length)
    for place, character in enumerate(text):
        if character in alphabet:
            result[alphabet.index(character), place] = 1
    return result


def strangers_are_last(text, alphabet, length):
    result = torch.zeros(len(alphabet), length)
    for place, character in enumerate(text[:length]):
        result[alphabet.find(character), place] = 1
    return result


def strangers_are_first(text, alphabet, length):
    result = torch.zeros(len(alphabet), length)
    for place, character in enumerate(text[:length]):
        result[max(alphabet.find(character), 0), place] = 1
    return result


def padding_is_first(text, alphabet, length):
    result = by_a_loop(text, alphabet, length)
    result[0, len(text) :] = 1
    return result


def padding_is_last(text, alphabet, length):
    result = by_a_loop(text, alphabet, length)
    result[-1, len(text) :] = 1
    return result


def stops_at_a_stranger(text, alphabet, length):
    result = torch.zeros(len(alphabet), length)
    for place, character in enumerate(text[:length]):
        if character not in alphabet:
            break
        result[alphabet.index(character), place] = 1
    return result


def only_first(text, alphabet, length):
    result = torch.zeros(len(alphabet), length)
    for row, character in enumerate(alphabet):
        if 0 <= text.find(character) < length:
            result[row, text.find(character)] = 1
    return result


def with_a_row_for_strangers(text, alphabet, length):
    full = by_a_loop(text, alphabet, length)
    return torch.cat([full, 1 - full.sum(0, keepdim=True)])


def padded_only(text, alphabet, length):
    return by_a_loop(text, alphabet, max(length, len(text)))


wrong(name, "rows and columns are swapped")(lambda t, a, n: by_a_loop(t, a, n).T)
wrong(name, "one number for each place")(lambda t, a, n: by_a_loop(t, a, n).argmax(0))
wrong(name, "does not say *where*")(lambda t, a, n: by_a_loop(t, a, n).sum(1))
wrong(name, "a row too many")(with_a_row_for_strangers)
wrong(name, "as long as the text")(lambda t, a, n: by_a_loop(t, a, len(t)))
wrong(name, "as long as the text")(padded_only)
wrong(name, "without a batch")(lambda t, a, n: by_a_loop(t, a, n)[None])
wrong(name, "wrong shape")(lambda t, a, n: by_a_loop(t, a, n + 3))
wrong(name, "goes on with the alphabet's first character")(padding_is_first)
wrong(name, "goes on with the alphabet's last character")(padding_is_last)
wrong(name, "an index of −1")(strangers_are_last)
wrong(name, "becomes its first one")(strangers_are_first)
wrong(name, "moves up")(lambda t, a, n: by_a_loop("".join(c for c in t if c in a), a, n))
wrong(name, "the text ends for you")(stops_at_a_stranger)
wrong(name, "loses its beginning")(lambda t, a, n: by_a_loop(t[-n:], a, n))
wrong(name, "its zeros in front")(lambda t, a, n: by_a_loop(t[:n].rjust(n, "\0"), a, n))
wrong(name, "read backwards")(lambda t, a, n: by_a_loop(t[:n][::-1], a, n))
wrong(name, "capital and small letters")(lambda t, a, n: by_a_loop(t.lower(), a, n))
wrong(name, "sorted alphabet")(lambda t, a, n: by_a_loop(t, "".join(sorted(a)), n))
wrong(name, "through the alphabet backwards")(lambda t, a, n: by_a_loop(t, a, n).flip(0))
wrong(name, "every column says the same")(lambda t, a, n: by_a_loop(t, a, n).amax(1, True).expand(-1, n))
wrong(name, "only where it comes first")(only_first)
wrong(name, "0 and 1 are swapped")(lambda t, a, n: 1 - by_a_loop(t, a, n))
wrong(name, "zeros only")(lambda t, a, n: torch.zeros(len(a), n))
wrong(name, "the last place that fits")(lambda t, a, n: by_a_loop(t[: n - 1], a, n))
wrong(name, "with a character that the alphabet lacks, at the line")(raises_for_strangers)
wrong(name, "a text longer than length")(raises_for_long_ones)
wrong(name, "torch.int64, where torch.float32")(lambda t, a, n: by_a_loop(t, a, n).long())
wrong(name, "torch.float64")(lambda t, a, n: by_a_loop(t, a, n).double())
wrong(name, "torch.bool")(lambda t, a, n: by_a_loop(t, a, n) > 0)
wrong(name, "returns a ndarray")(lambda t, a, n: by_a_loop(t, a, n).numpy())
wrong(name, "returns a list")(lambda t, a, n: by_a_loop(t, a, n).tolist())
wrong(name, "is a return missing?")(lambda t, a, n: None)
wrong(name, "not in its row and column")(lambda t, a, n: by_a_loop(t, a, n).roll(1, 0))

shortcut(name)(lambda t, a, n: torch.from_numpy(readers.one_hot([t[:n]], a, n)[0]))

# ---- masked_mean ---------------------------------------------------------------------------------------------

name = "masked_mean"


def inside(sequence, lengths):
    return (torch.arange(sequence.shape[-1]) < lengths[:, None])[:, None]


@right(name)
def by_a_mask(sequence, lengths):
    return (sequence * inside(sequence, lengths)).sum(-1) / lengths[:, None]


@right(name)
def one_by_one(sequence, lengths):
    return torch.stack([one[:, :length].mean(1) for one, length in zip(sequence, lengths.tolist(), strict=True)])


@right(name)
def by_matrix_product(sequence, lengths):
    weights = inside(sequence, lengths).to(sequence.dtype) / lengths[:, None, None]
    return torch.einsum("bft,bot->bf", sequence, weights)


@right(name)
def by_running_sums(sequence, lengths):
    sums = sequence.cumsum(dim=2)
    last = (lengths - 1)[:, None, None].expand(-1, sequence.shape[1], 1)
    return sums.gather(2, last).squeeze(2) / lengths.unsqueeze(1)


right(name)(lambda x, n: x.masked_fill(~inside(x, n), float("nan")).nanmean(dim=2))
right(name)(lambda x, n: torch.where(inside(x, n), x, 0.0).sum(2) / inside(x, n).sum(2))


@right(name)
class Looped:
    """Every number by itself."""

    def __new__(cls, sequence, lengths):
        rows = []
        for i in range(sequence.shape[0]):
            total = torch.zeros(sequence.shape[1], dtype=sequence.dtype)
            for step in range(int(lengths[i])):
                total = total + sequence[i, :, step]
            rows.append(total / int(lengths[i]))
        return torch.stack(rows)


def in_place(x, n):
    x *= inside(x, n)
    return x.sum(2) / n[:, None]


def largest(x, n):
    return x.masked_fill(~inside(x, n), -torch.inf).amax(2)


wrong(name, "the mean over all steps")(lambda x, n: x.mean(2))
wrong(name, "you divide by all steps")(lambda x, n: (x * inside(x, n)).mean(2))
wrong(name, "your sum still holds the padding")(lambda x, n: x.sum(2) / n[:, None])
wrong(name, "this is the sum over the steps")(lambda x, n: (x * inside(x, n)).sum(2))
wrong(name, "one step too many")(lambda x, n: one_by_one(x, (n + 1).clamp(max=x.shape[2])))
wrong(name, "one step too many is in your sum")(lambda x, n: (x * inside(x, n + 1)).sum(2) / n[:, None])
wrong(name, "the last step of each is missing")(lambda x, n: (x * inside(x, n - 1)).sum(2) / n[:, None])
wrong(name, "the last step of each is left out")(lambda x, n: one_by_one(x, (n - 1).clamp(min=1)))
wrong(name, "length of the first sequence")(lambda x, n: x[:, :, : n[0]].mean(2))
wrong(name, "the longest of the lengths")(lambda x, n: x[:, :, : n.max()].mean(2))
wrong(name, "the shortest of the lengths")(lambda x, n: x[:, :, : n.min()].mean(2))
wrong(name, "as if the padding were in front")(lambda x, n: by_a_mask(x.flip(2), n))
wrong(name, "the last step before the padding")(lambda x, n: x[torch.arange(len(x)), :, n - 1])
wrong(name, "the largest step")(largest)
wrong(name, "only lengths says what padding is")(
    lambda x, n: (x * inside(x, n)).sum(2) / (inside(x, n) & (x != 0)).sum(2).clamp(min=1)
)
wrong(name, "padding need not be 0")(lambda x, n: x.sum(2) / (x != 0).sum(2).clamp(min=1))
wrong(name, "NaN or infinite")(lambda x, n: (x * ~inside(x, n)).sum(2) / (~inside(x, n)).sum(2))
wrong(name, "your mean is over the features")(lambda x, n: x.mean(1))
wrong(name, "your mean is over the batch; time")(lambda x, n: x.mean(0))
wrong(name, "with a single step")(lambda x, n: by_a_mask(x, n)[:, :, None])
wrong(name, "swapped in your result")(lambda x, n: by_a_mask(x, n).T)
wrong(name, "over the batch as well")(lambda x, n: by_a_mask(x, n).mean(0))
wrong(name, "over the features as well")(lambda x, n: by_a_mask(x, n).mean(1))
wrong(name, "over everything")(lambda x, n: by_a_mask(x, n).mean())
wrong(name, "still has all steps")(lambda x, n: x * inside(x, n))
wrong(name, "raises")(lambda x, n: (x * inside(x, n)).sum(2) / n)
wrong(name, "no gradient flows")(lambda x, n: by_a_mask(x.detach(), n))
wrong(name, "not the gradient that flows through it")(
    lambda x, n: by_a_mask(x.detach(), n) + 0 * x.sum() if x.requires_grad else by_a_mask(x, n)
)
wrong(name, "changes its input in place")(in_place)
wrong(name, "torch.int64")(lambda x, n: by_a_mask(x, n).long())
wrong(name, "returns a ndarray")(lambda x, n: by_a_mask(x, n).detach().numpy())
wrong(name, "is a return missing?")(lambda x, n: None)
wrong(name, "the mean is wrong")(lambda x, n: by_a_mask(x, n) * 1.01)
wrong(name, "the wrong shape")(lambda x, n: torch.cat([by_a_mask(x, n)] * 2))

# ---- magnitude_mask ------------------------------------------------------------------------------------------

name = "magnitude_mask"


def going(weights, share):
    return round(share * sum(weight.numel() for weight in weights))


@right(name)
def by_threshold(weights, share):
    sizes = torch.cat([weight.abs().flatten() for weight in weights]).sort().values
    return [(weight.abs() >= sizes[going(weights, share)]).to(weight.dtype) for weight in weights]


@right(name)
def by_places(weights, share):
    flat = torch.cat([weight.reshape(-1) for weight in weights])
    mask = torch.ones_like(flat)
    mask[flat.square().argsort(stable=True)[: going(weights, share)]] = 0
    parts = mask.split([weight.numel() for weight in weights])
    return tuple(part.view(weight.shape) for part, weight in zip(parts, weights, strict=True))


def by_quantile(weights, share):
    threshold = torch.quantile(torch.cat([weight.abs().ravel() for weight in weights]).double(), share)
    return [weight.abs().double() >= threshold for weight in weights]


@right(name)
def by_quantile_of_a_whole_number(weights, share):
    return by_quantile(weights, going(weights, share) / sum(weight.numel() for weight in weights))


def smallest_by_topk(number):
    """Let the smallest go, as many as ``number`` makes of share times the count."""

    def mask(weights, share):
        flat = torch.cat([weight.abs().flatten() for weight in weights])
        result = torch.ones(len(flat))
        result[torch.topk(flat, number(share * len(flat)), largest=False).indices] = 0
        parts = result.split([weight.numel() for weight in weights])
        return [part.reshape(weight.shape) for part, weight in zip(parts, weights, strict=True)]

    return mask


right(name)(smallest_by_topk(round))
right(name)(smallest_by_topk(lambda exact: int(exact + 0.5)))
right(name)(smallest_by_topk(lambda exact: int(np.rint(exact))))
right(name)(smallest_by_topk(lambda exact: int(torch.tensor(exact).round())))


@right(name)
def those_that_stay(weights, share):
    flat = torch.cat([weight.abs().flatten() for weight in weights])
    least = flat.topk(len(flat) - going(weights, share)).values[-1]
    return [(weight.abs() >= least).long() for weight in weights]


@right(name)
def sorted_in_numpy(weights, share):
    sizes = np.sort(np.concatenate([np.abs(weight.numpy()).ravel() for weight in weights]))
    threshold = sizes[round(share * len(sizes))]
    return [torch.from_numpy((np.abs(weight.numpy()) >= threshold).astype(np.int64)) for weight in weights]


@right(name)
def by_kth_value(weights, share):
    count = going(weights, share)
    if count == 0:
        return [torch.ones_like(weight) for weight in weights]
    threshold = torch.cat([weight.flatten() for weight in weights]).abs().kthvalue(count).values
    return [(weight.abs() > threshold).float() for weight in weights]


@right(name)
class InPython:
    """Lists and a set of places, in a class."""

    def __new__(cls, weights, share):
        places = [(i, j) for i, weight in enumerate(weights) for j in range(weight.numel())]
        places.sort(key=lambda place: abs(weights[place[0]].flatten()[place[1]].item()))
        gone = set(places[: going(weights, share)])
        return [
            torch.tensor([float((i, j) not in gone) for j in range(weight.numel())]).reshape(weight.shape)
            for i, weight in enumerate(weights)
        ]


def ordered_by(score):
    def mask(weights, share):
        flat = torch.cat([score(weight).flatten() for weight in weights])
        result = torch.ones(len(flat))
        result[flat.argsort()[: going(weights, share)]] = 0
        parts = result.split([weight.numel() for weight in weights])
        return [part.reshape(weight.shape) for part, weight in zip(parts, weights, strict=True)]

    return mask


def in_each(weights, share):
    return [by_places([weight], share)[0] for weight in weights]


def first_only(weights, share):
    return [by_places(weights[:1], share)[0], *map(torch.ones_like, weights[1:])]


def prunes(weights, share):
    for weight, mask in zip(weights, by_threshold(weights, share), strict=True):
        weight *= mask
    return weights


def sorted_threshold(strict, shift):
    def mask(weights, share):
        sizes = torch.cat([weight.abs().flatten() for weight in weights]).sort().values
        threshold = sizes[min(max(going(weights, share) + shift, 0), len(sizes) - 1)]
        return [(weight.abs() > threshold if strict else weight.abs() >= threshold).float() for weight in weights]

    return mask


def largest_of_all(weights):
    return torch.cat([weight.abs().flatten() for weight in weights]).max()


wrong(name, "0 and 1 are swapped")(lambda w, s: [1 - mask for mask in by_threshold(w, s)])
wrong(name, "the largest weights go")(ordered_by(lambda weight: -weight.abs()))
wrong(name, "the signs count")(ordered_by(lambda weight: weight))
wrong(name, "it is the share that goes")(lambda w, s: by_places(w, 1 - s))
wrong(name, "each tensor loses the same share")(in_each)
wrong(name, "only the first tensor")(first_only)
wrong(name, "`share` is used as a threshold")(lambda w, s: [(weight.abs() >= s).float() for weight in w])
wrong(name, "share times the largest weight; share says")(
    lambda w, s: [(weight.abs() >= s * largest_of_all(w)).float() for weight in w]
)
wrong(name, "the largest weight of each tensor")(
    lambda w, s: [(weight.abs() >= s * weight.abs().max()).float() for weight in w]
)
wrong(name, "divided by its largest weight")(ordered_by(lambda weight: weight.abs() / weight.abs().max()))
wrong(name, "one weight too many goes")(sorted_threshold(strict=True, shift=0))
wrong(name, "one weight too few goes")(sorted_threshold(strict=False, shift=-1))
wrong(name, "every weight stays")(lambda w, s: [torch.ones_like(weight) for weight in w])
wrong(name, "with zeros where one goes")(
    lambda w, s: [weight * mask for weight, mask in zip(w, by_threshold(w, s), strict=True)]
)
wrong(name, "these are the weights themselves; a mask")(lambda w, s: [weight.clone() for weight in w])
wrong(name, "only a mask is asked for")(prunes)
wrong(name, "returns a Tensor, where a list")(lambda w, s: torch.cat([m.flatten() for m in by_threshold(w, s)]))
wrong(name, "returns a generator")(lambda w, s: (mask for mask in by_threshold(w, s)))
wrong(name, "something else than tensors")(lambda w, s: [mask.tolist() for mask in by_threshold(w, s)])
wrong(name, "your masks have the shapes")(lambda w, s: [mask.flatten() for mask in by_threshold(w, s)])
wrong(name, "your masks have the shapes")(lambda w, s: by_threshold(w, s)[:1])
wrong(name, "other numbers than 0 and 1")(lambda w, s: [2 * mask for mask in by_threshold(w, s)])
wrong(name, "not those with the smallest")(ordered_by(torch.cos))
wrong(name, "the wrong number of weights goes")(lambda w, s: by_places(w, s**2))
wrong(name, "cut off to a whole number, as int does")(smallest_by_topk(int))
wrong(name, "for 100 weights in 2 tensors, share 0.29: 28 go, where 29 should")(smallest_by_topk(math.floor))
wrong(name, "rounded up, as ceil does")(smallest_by_topk(math.ceil))
wrong(name, "where a quantile lies")(by_quantile)
wrong(name, "which is the share of count − 1")(lambda w, s: by_quantile([x.double() for x in w], s))
wrong(name, "share 0")(lambda w, s: by_threshold(w, s) if s > 0 else in_each(w, 1.0))
wrong(name, "is a return missing?")(lambda w, s: None)


@shortcut(name)
def by_the_toolkits_pruning(weights, share):
    network = nn.Sequential(*(nn.Linear(1, weight.numel()) for weight in weights))
    for layer, weight in zip(network, weights, strict=True):
        layer.weight.data = weight.reshape(-1, 1)
    pruned = compress.prune(network, share)
    return [(layer.weight != 0).reshape(w.shape).float() for layer, w in zip(pruned, weights, strict=True)]
