"""Figures, summary and site, put together from what the stages declare."""
