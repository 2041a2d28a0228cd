"""Runs, comparisons and what is learnt from them."""
