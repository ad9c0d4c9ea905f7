"""Offsets: where in its document a window begins, how long its context is, and what is recited of it."""
