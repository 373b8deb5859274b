"""Reminders of what waits for people."""
