"""The audit trail as a log that proves itself: leaves, their tree, signed checkpoints, and how all of it is
verified by whoever has an export and no database."""
