"""Counterfactual memorization: what models recite of texts that were, and were not, in their training."""
