"""Dimension: of how many dimensions the residual stream of a class of rows is, locally."""
