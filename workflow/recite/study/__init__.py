"""What is asked: config files and their schemas, models, how they fit together, and what a stage declares."""
