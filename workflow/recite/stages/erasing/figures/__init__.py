"""Figures of erasing."""
