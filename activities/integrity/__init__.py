"""Stored content is read again and compared with what was stored; nothing is repaired."""
