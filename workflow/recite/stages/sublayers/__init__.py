"""What is lost without the attention or the MLP of each layer."""
