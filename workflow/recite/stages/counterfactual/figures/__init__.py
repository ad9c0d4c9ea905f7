"""Figures of counterfactual memorization."""
