"""The data files, on any of Beam's filesystems: which there are, and the records in them."""
