"""Trajectory: when in its training a model first recites a row, and whether it goes on to."""
