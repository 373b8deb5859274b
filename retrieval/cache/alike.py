"""How near the questions lie to which answers are kept."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from retrieval.vector import Vector

_STORED = np.dtype("<f2")
"""Halves, as the vectors of passages are: the cosine of two is wrong by less than .001."""


@dataclass(frozen=True)
class Meaning:
    """Of a question: the keyed hash of all in which another has to be equal, and its vector (length 1)."""

    alike_key: bytes = field(repr=False)
    vector: Vector = field(repr=False)


@dataclass(frozen=True)
class Nearest:
    """`likeness`: the cosine, at most 1."""

    key: bytes = field(repr=False)
    likeness: float

    @property
    def distance(self) -> float:
        return round(1.0 - self.likeness, 4)


def vector_bytes(vector: Vector) -> bytes:
    """As it is kept."""
    return vector.astype(_STORED).tobytes()


def nearest_of(vector: Vector, others: Mapping[bytes, bytes | None]) -> Nearest | None:
    """Of vectors by their keys, as they are kept; those of other dimensions, and what is none, are passed
    over."""
    fitting = {
        key: content
        for key, content in others.items()
        if content is not None and len(content) == len(vector) * _STORED.itemsize
    }
    if not fitting:
        return None
    kept = np.frombuffer(b"".join(fitting.values()), _STORED).reshape(len(fitting), -1)
    cosines = kept.astype(np.float32) @ vector
    place = int(np.argmax(cosines))
    return Nearest(list(fitting)[place], min(1.0, float(cosines[place])))
