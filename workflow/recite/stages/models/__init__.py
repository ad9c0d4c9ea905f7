"""Models and tokenizers: trained here from seeded weights, or fetched, checked and named by digest."""
