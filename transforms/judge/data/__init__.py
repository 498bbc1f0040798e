"""What the data themselves give away, without any model."""
