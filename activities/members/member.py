"""One member of a container."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO


@dataclass(frozen=True, slots=True)
class Member:
    """`path` is clean and relative; `refusal` says why no file is made of it; `size_bytes` is what
    the container declares, and only good for refusing early."""

    path: str
    open: Callable[[], BinaryIO]
    refusal: str | None = None
    size_bytes: int = 0
