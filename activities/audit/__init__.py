"""Audit trails get their places in their trees, and checkpoints over them are signed and copied."""
