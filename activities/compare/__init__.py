"""A candidate's reading beside the published one: who is compared, how, and what is kept of it."""
