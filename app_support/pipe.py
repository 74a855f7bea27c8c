"""What the server and its worker send each other: one line of JSON, and arrays behind it as numpy's ``.npz``; no pickle."""

import io
import json
from typing import IO, Any

import numpy as np

Message = dict[str, Any]
Arrays = dict[str, np.ndarray]


def send(stream: IO[bytes], message: Message, arrays: Arrays | None = None) -> None:
    """Write a message with its arrays."""
    content = b""
    if arrays:
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, **arrays)
        content = buffer.getvalue()
    stream.write(json.dumps(message | {"bytes": len(content)}).encode() + b"\n" + content)
    stream.flush()


def receive(stream: IO[bytes]) -> tuple[Message, Arrays] | None:
    """Read a message with its arrays; None where the other side has ended.

    >>> stream = io.BytesIO()
    >>> send(stream, {"id": 1}, {"history": np.zeros(2)})
    >>> _ = stream.seek(0)
    >>> receive(stream), receive(stream)
    (({'id': 1}, {'history': array([0., 0.])}), None)
    """
    line = stream.readline()
    if not line.endswith(b"\n"):
        return None
    message = json.loads(line)
    size = message.pop("bytes")
    if not size:
        return message, {}
    content = stream.read(size)
    if len(content) < size:
        return None
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        return message, {name: archive[name] for name in archive.files}
