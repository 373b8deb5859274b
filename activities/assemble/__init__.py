"""Stage `assemble`: one DoclingDocument out of the pages that were read."""
