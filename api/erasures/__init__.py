"""Erasures that are asked for by law: what must be kept waits, out of sight."""
