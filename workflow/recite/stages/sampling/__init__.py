"""Samples: from documents, found in files or made here, to the rows that are measured."""
