"""From a corpus to samples: readers, inventory, candidates, sampling, tokenizers, the mini corpus."""
