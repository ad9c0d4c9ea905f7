"""Figures of sublayers."""
