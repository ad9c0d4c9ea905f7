"""Frequency: how often the sampled texts occur in the corpus, by which units, and memorization by frequency."""
