"""Records, fingerprints, audit, lineage, trace, export."""
