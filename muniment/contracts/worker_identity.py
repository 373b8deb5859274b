"""How a worker calls itself to Temporal: its process, and how its parsers are confined.

The identity stands in Temporal's Web UI and in the answer of DescribeTaskQueue, so that operators and
the API see the tier of every worker without asking it.
"""

from collections.abc import Sequence

FULL_SANDBOX = ("landlock", "seccomp", "limits")
"""All that can confine a parser: the file system, system calls, resource limits."""
PROGRAM_SANDBOX = "bubblewrap"
"""What confines external programs besides; where it is missing none is run."""
_MARK = "sandbox="


def write_identity(process_id: int, host: str, sandbox: Sequence[str]) -> str:
    """`123@host sandbox=landlock+seccomp+limits+bubblewrap`; without the part where nothing is parsed."""
    identity = f"{process_id}@{host}"
    return f"{identity} {_MARK}{'+'.join(sandbox)}" if sandbox else identity


def read_sandbox(identity: str) -> tuple[str, ...]:
    """What confines that worker's parsers; empty when it does not say."""
    return tuple(identity.rpartition(_MARK)[2].split("+")) if _MARK in identity else ()
