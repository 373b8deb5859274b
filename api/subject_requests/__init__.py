"""Requests of people about what there is of them."""
