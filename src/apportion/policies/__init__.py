"""Policies: one published system a file, found by name through `registry`."""
