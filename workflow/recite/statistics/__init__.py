"""Intervals, tests and fits: no table, no file."""
