"""Attention: which positions of its context a continuation attends to and needs, and which heads are induction heads."""
