"""Retention: policies, and what is said of one file."""
