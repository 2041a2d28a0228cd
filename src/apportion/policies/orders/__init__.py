"""Policies of this kind, one a file."""
