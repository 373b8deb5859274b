"""Ways to answer, as models."""
