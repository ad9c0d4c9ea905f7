"""Published numbers: the paper's, set beside this study's in the summary."""
