"""Tables and manifest: what a run leaves behind, for people and for machines."""
