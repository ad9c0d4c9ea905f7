"""Published numbers: the paper's, set beside this study's in the summary."""

from recite.study.declaration import Stage

STAGE = Stage("recite.comparison.published", (), words=True)
