"""Recovery: how much of the noise each later layer removes, at each strength."""
