"""Lens: what every layer would say of the true continuation."""
