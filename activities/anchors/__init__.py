"""Finds annotations again in what was read of a version."""
