"""What waits for people, in one list."""
