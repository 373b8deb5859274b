"""Collections, as vector stores."""
