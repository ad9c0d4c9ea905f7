"""Neurons: what single neurons of the MLPs carry of a row's recall, alone and as a set."""
