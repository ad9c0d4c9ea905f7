"""Scaling: memorization rate against model size, per family and pooled."""
