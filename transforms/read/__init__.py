"""Shards -> Example: one module for each dataset format, all with the same output."""
