"""Tests of the engines that need torch: `make test-torch` runs them, in an environment of their own."""

from importlib.util import find_spec

from tests.workflows.conftest import nothing_left_running, owner, workshop

__all__ = ["nothing_left_running", "owner", "workshop"]

# Without torch these modules cannot even be loaded; `make test` says that they were left out.
collect_ignore_glob = [] if find_spec("torch") else ["test_*.py"]
