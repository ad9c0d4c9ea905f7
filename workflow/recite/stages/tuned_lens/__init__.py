"""Tuned lens: what every layer says once an affine map has brought it into the last layer's coordinates."""
