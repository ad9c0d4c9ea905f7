"""Domains: structural against free text, and how alike models are in what they memorize where."""
