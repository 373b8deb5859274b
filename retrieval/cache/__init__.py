"""Answers and searches that are told again while nothing has changed that could change them."""
