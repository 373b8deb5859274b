"""Rotations of the tenant's key."""
