"""Measures: every model's memorization by each measure that the study has, in one table."""
