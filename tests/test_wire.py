"""What crosses the border of the sandbox: values come out as they went in, and anything else is refused."""

import contextlib
import io
import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from course import wire

SIMPLE = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
NESTED = st.recursive(
    SIMPLE,
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text() | st.integers(), inner),
    max_leaves=12,
)


@given(NESTED)
def test_plain_values_come_out_as_they_went_in(value):
    assert wire.decode(wire.encode(value)) == value


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.int64, torch.bool])
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0, 4), (2, 3, 4)])
def test_tensors_keep_type_shape_and_bits(dtype, shape):
    tensor = (3 * torch.randn(shape)).to(dtype)
    back = wire.decode(wire.encode([tensor, 1]))[0]
    assert type(back) is torch.Tensor
    assert back.dtype == dtype
    assert back.shape == shape
    assert torch.equal(back, tensor)


def test_a_tensor_says_whether_it_requires_a_gradient_and_may_be_a_view():
    tensor = torch.randn(4, 3, requires_grad=True)
    back = wire.decode(wire.encode((tensor.T[1:], tensor.detach())))
    assert torch.equal(back[0], tensor.T[1:])
    assert [part.requires_grad for part in back] == [True, False]


def test_numpy_stays_numpy_and_nan_stays_nan():
    array, scalar, nan = wire.decode(wire.encode([np.arange(6.0).reshape(2, 3), np.float32(0.5), math.nan]))
    assert array.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert type(scalar) is np.float32
    assert math.isnan(nan)


class Equal:
    def __eq__(self, other):
        return True

    __hash__ = None


class Shouting(str):
    pass


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (Equal(), "Equal"),
        (Shouting("a"), "Shouting"),
        (nn.Parameter(torch.zeros(1)), "Parameter"),
        (torch.eye(2).to_sparse(), "Tensor"),
        (lambda: 1, "function"),
        (np.array(["text"]), "ndarray"),
    ],
)
def test_other_types_arrive_as_a_name_that_equals_nothing(value, name):
    (back,) = wire.decode(wire.encode([value]))
    assert isinstance(back, wire.Foreign)
    assert type(back).__name__ == name
    assert back != value or isinstance(value, Equal)


def test_what_is_nested_without_end_is_cut():
    endless = []
    endless.append(endless)
    back = wire.decode(wire.encode(endless))
    for _ in range(wire.DEEPEST - 1):
        (back,) = back
    assert isinstance(back[0], wire.Foreign)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(content):
    with contextlib.suppress(wire.WireError):
        wire.decode(content)


@pytest.mark.parametrize(
    "described",
    [
        ["tensor", "torch.float32", [2], False, 4],  # fewer bytes than its shape needs
        ["tensor", "torch.float32", [-1], False, 10**12],
        ["tensor", "os.system", [1], False, 4],
        ["numpy", "O", [1], False, 8],  # pointers
        ["plain", [1]],
        ["float", "no number"],
        ["dict", [[["list", []], ["plain", 1]]]],  # a key that cannot be one
        {"a": 1},
        ["what"],
    ],
)
def test_a_lie_about_what_is_sent_is_refused(described):
    text = json.dumps(described).encode()
    with pytest.raises(wire.WireError):
        wire.decode(len(text).to_bytes(8, "big") + text + b"\0" * 8)


def test_frames_come_back_whole_or_not_at_all():
    stream = io.BytesIO()
    wire.write_frame(stream, b"content")
    stream.seek(0)
    assert wire.read_frame(stream) == b"content"
    with pytest.raises(EOFError):
        wire.read_frame(stream)
    with pytest.raises(EOFError):
        wire.read_frame(io.BytesIO((10).to_bytes(8, "big") + b"short"))
    with pytest.raises(wire.WireError, match="a result of 1,000 bytes; at most 999"):
        wire.read_frame(io.BytesIO((1000).to_bytes(8, "big")), most_bytes=999)
