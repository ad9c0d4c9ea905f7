"""From rows without sets of their neurons to the tables."""
