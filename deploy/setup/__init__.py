"""`make setup`: brings a machine with Python, git and make to a working checkout.

Runs on the system's Python with the standard library only, until `.venv` exists.
"""
