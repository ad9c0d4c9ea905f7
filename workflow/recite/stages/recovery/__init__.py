"""Recovery: what each later layer leaves of the noise, at each strength."""
