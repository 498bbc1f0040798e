"""The report: one self-contained page made of plain rows, by plain functions."""
