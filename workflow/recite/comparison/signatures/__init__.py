"""Signatures: how alike two models are in how a measure spreads over their layers, and whether families matter."""
