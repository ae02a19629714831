"""Graph meta-learning for cold-start recommendation."""
