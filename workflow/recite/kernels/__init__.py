"""What a forward pass runs on, in place of three parts of `transformers`."""
