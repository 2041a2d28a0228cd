"""Predictions from history."""
