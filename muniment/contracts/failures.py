"""Types of activities' failures that are no problem of anybody's: workflows go by them."""

PAUSED = "paused"
"""The activity came up while its job was paused."""
ERASED = "erased"
"""The activity's file is being erased."""
WITHDRAWN = "withdrawn"
"""Type of the failure of a comparison whose file is no longer there to be compared."""
