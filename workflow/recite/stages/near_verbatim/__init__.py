"""Near-verbatim recall: rows that are recited but for a few tokens."""
