"""Heads: what the first rows of every domain lose by each attention head, and which heads matter where."""
