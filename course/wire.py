"""What crosses the border between the judge and the process in which an answer runs.

The judge sends pickles, since the other side has to believe it. What comes back is plain data only, described in JSON with
the bytes of tensors behind it, and is read without trust: nothing of it is ever unpickled.

A frame is its length (8 bytes) and its content.
"""

import json
import struct
from collections.abc import Mapping
from typing import IO, Any

import numpy as np
import torch
from torch import Tensor

MOST_BYTES = 64 * 2**20  # of one frame from an answer's process
DEEPEST = 12
_LENGTH = struct.Struct(">Q")
_DTYPES = {
    str(dtype): dtype
    for dtype in (
        *(torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.complex64, torch.complex128),
        *(torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool),
    )
}
_PLAIN = (bool, int, float, str, type(None))


class WireError(Exception):
    """What came from an answer's process is not what was agreed on."""


class Foreign:
    """Stands for an object of a type that does not cross the border: of a class of that name, equal to nothing else."""


def write_frame(stream: IO[bytes], content: bytes) -> None:
    """Write one frame."""
    stream.write(_LENGTH.pack(len(content)))
    stream.write(content)
    stream.flush()


def read_frame(stream: IO[bytes], most_bytes: int = MOST_BYTES) -> bytes:
    """Read one frame.

    Raises
    ------
    EOFError
        If the other side is gone.
    WireError
        If the frame is larger than allowed.
    """
    (length,) = _LENGTH.unpack(_read(stream, _LENGTH.size))
    if length > most_bytes:
        raise WireError(f"a result of {length:,} bytes; at most {most_bytes:,} are read")
    return _read(stream, length)


def _read(stream: IO[bytes], size: int) -> bytes:
    content = stream.read(size)
    if len(content) < size:
        raise EOFError
    return content


def encode(value: Any) -> bytes:
    """Describe a value as plain data; tensors keep dtype, shape and whether they require a gradient."""
    buffers: list[bytes] = []
    described = json.dumps(_describe(value, buffers, DEEPEST)).encode()
    return _LENGTH.pack(len(described)) + described + b"".join(buffers)


def _describe(value: Any, buffers: list[bytes], depth: int) -> list[Any]:
    kind = type(value)
    if depth == 0:
        return ["foreign", "nested too deeply"]
    if kind is float:
        return ["float", value.hex()]  # JSON has no nan
    if kind in _PLAIN:
        return ["plain", value]
    if kind in (list, tuple):
        return [kind.__name__, [_describe(part, buffers, depth - 1) for part in value]]
    if kind is dict:
        return ["dict", [[_describe(part, buffers, depth - 1) for part in pair] for pair in value.items()]]
    if kind is Tensor and value.layout == torch.strided and str(value.dtype) in _DTYPES:
        flat = value.detach().cpu().contiguous().reshape(-1)
        buffers.append(flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b"")
        return ["tensor", str(value.dtype), list(value.shape), value.requires_grad, len(buffers[-1])]
    if isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "fiub":
        buffers.append(value.tobytes())
        return ["numpy", value.dtype.str, list(value.shape), isinstance(value, np.generic), len(buffers[-1])]
    return ["foreign", kind.__name__]


def decode(content: bytes) -> Any:
    """Read what ``encode`` wrote, without trust.

    Raises
    ------
    WireError
        If it is anything else.
    """
    try:
        (length,) = _LENGTH.unpack_from(content)
        start = _LENGTH.size + length
        return _Reader(memoryview(content)[start:]).value(json.loads(content[_LENGTH.size : start]))
    except WireError:
        raise
    except Exception as problem:
        raise WireError(f"a broken message ({type(problem).__name__})") from None


class _Reader:
    def __init__(self, buffers: memoryview):
        self.buffers = buffers
        self.position = 0

    def value(self, described: Any) -> Any:
        match described:
            case ["float", str(text)]:
                return float.fromhex(text)
            case ["plain", value] if type(value) in _PLAIN:
                return value
            case ["list", [*parts]]:
                return [self.value(part) for part in parts]
            case ["tuple", [*parts]]:
                return tuple(self.value(part) for part in parts)
            case ["dict", [*pairs]]:
                return {self.value(key): self.value(value) for key, value in pairs}
            case ["tensor", dtype, [*shape], bool(requires_grad), int(size)]:
                raw = torch.frombuffer(bytearray(self._take(size)), dtype=torch.uint8) if size else torch.empty(0)
                tensor = raw.view(_DTYPES[dtype]) if size else torch.empty(0, dtype=_DTYPES[dtype])
                tensor = tensor.reshape(shape)
                return tensor.requires_grad_() if requires_grad and tensor.is_floating_point() else tensor
            case ["numpy", str(dtype), [*shape], bool(scalar), int(size)]:
                array = np.frombuffer(self._take(size), dtype=np.dtype(dtype)).reshape(shape).copy()
                return array[()] if scalar else array
            case ["foreign", str(name)]:
                return type(name[:80].replace("\0", ""), (Foreign,), {})()
        raise WireError("a message of an unknown form")

    def _take(self, size: int) -> bytes:
        part = self.buffers[self.position : self.position + size]
        if len(part) != size or size < 0:
            raise WireError("fewer bytes than announced")
        self.position += size
        return bytes(part)


def tensors_in(value: Any) -> list[Tensor]:
    """List the tensors of nested lists, tuples and dictionaries, in order."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, list | tuple):
        return [tensor for part in value for tensor in tensors_in(part)]
    if isinstance(value, Mapping):
        return [tensor for part in value.values() for tensor in tensors_in(part)]
    return []


def with_tensors(value: Any, tensors: list[Tensor]) -> Any:
    """Give the same nested structure with other tensors, taken in order from the front of the list."""
    if isinstance(value, Tensor):
        return tensors.pop(0)
    if type(value) in (list, tuple):
        return type(value)(with_tensors(part, tensors) for part in value)
    if type(value) is dict:
        return {key: with_tensors(part, tensors) for key, part in value.items()}
    return value
