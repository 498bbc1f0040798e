"""A small picture world with a planted shortcut, and one honest and one biased model of it."""
