"""The embedded stack's supervisor, on real processes."""
