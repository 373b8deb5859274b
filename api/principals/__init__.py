"""Who there is: people and programs."""
