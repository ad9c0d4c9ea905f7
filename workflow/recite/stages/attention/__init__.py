"""Attention: which places of its context a continuation attends to and needs; which heads are induction heads."""
