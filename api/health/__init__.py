"""Whether the process lives, what it depends on, and its metrics."""
