"""Interventions: what a forward pass is changed by; each is in force for one pass and always taken back."""
