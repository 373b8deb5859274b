"""The index of words is put in order."""
