"""How long to wait for what is bounded by the clock, where others have the processors as well."""

import os


def on_a_busy_machine(seconds: float) -> float:
    """The seconds that it may take where each processor has as much to do as in the minute before:
    twice as many at least, since that minute may have been a quiet one, and five times at most."""
    return seconds * min(5.0, max(2.0, os.getloadavg()[0] / (os.cpu_count() or 1)))
