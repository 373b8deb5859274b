"""People who sign in: passwords, attempts, tokens."""
