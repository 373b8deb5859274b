"""Cited answers, as completions of a chat."""
