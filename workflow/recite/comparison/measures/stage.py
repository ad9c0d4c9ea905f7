"""Measures: every model's memorization by each measure that the study has, in one table."""

from recite.study.declaration import Stage

STAGE = Stage("recite.comparison.measures", (), words=True)
