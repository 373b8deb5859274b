"""Whom one can share with: names, and nothing more."""
