"""The whole job: config, command line, and the graph that joins the rooms of `transforms`."""

__version__ = "0.1.0"
