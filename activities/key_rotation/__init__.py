"""A tenant's data keys are wrapped by a new version of its key."""
