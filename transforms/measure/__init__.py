"""Explanation -> Score: how much of a heatmap lies where, in closed form."""
