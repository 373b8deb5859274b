"""Sweeps of retention, and what people decide about them and about files that are due."""
