"""Scaling: memorization rate against model size, per family and with one slope for all."""
