"""Tables of a text layer, by their rules or by how their words stand below each other."""
