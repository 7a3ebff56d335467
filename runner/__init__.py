"""A declarative, config-driven experiment runner for convolutional networks."""
