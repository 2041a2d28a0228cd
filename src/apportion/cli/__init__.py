"""The command line: one thin module a verb; no logic."""
