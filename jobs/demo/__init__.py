"""The demo: the rendered world, and the training of its encoder."""
