"""Running models: greedy continuation, passes, branches, interventions, memory."""
