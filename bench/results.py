"""What a benchmark prints: a JSON object a line."""

import json
import sys
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Result:
    """`value` is ours, `peer` the same work without us, `ratio` the one over the other."""

    name: str
    value: float
    unit: str
    peer: float | None = None

    @property
    def ratio(self) -> float | None:
        return round(self.value / self.peer, 3) if self.peer else None

    def print(self) -> None:
        line = {**asdict(self), "ratio": self.ratio}
        line["value"] = round(self.value, 4)
        line["peer"] = round(self.peer, 4) if self.peer is not None else None
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()


def note(text: str) -> None:
    """For the person who waits; on standard error."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
