"""Figures of predictability."""
