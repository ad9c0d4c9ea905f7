"""Noise: the scores again at each noise strength in each disturbed layer."""
