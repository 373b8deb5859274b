"""Events that are sent out."""
