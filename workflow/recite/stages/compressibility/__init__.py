"""Compressibility: by which suffixes of its context a memorized row is still recited."""
