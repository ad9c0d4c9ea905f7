"""Two studies side by side: claims, numbers with the interval of their difference, settings, figures."""
