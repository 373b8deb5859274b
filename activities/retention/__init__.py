"""Retention as Temporal carries it out."""
