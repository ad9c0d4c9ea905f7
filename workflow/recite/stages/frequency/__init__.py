"""Frequency: how often the sampled texts occur in the corpus, by which bytes or tokens, and memorization by frequency."""
