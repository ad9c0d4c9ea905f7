"""What runs a model: attributions, sets of neurons, and the rows without them."""
