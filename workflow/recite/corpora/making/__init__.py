"""Corpora that are made here: the mini study's, of installed files and planted texts; short texts that are gathered."""
