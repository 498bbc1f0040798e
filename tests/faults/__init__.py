"""What breaks at three in the morning, for `make test-faults`; docs/reliability.md is its table.

After each fault there are either the rows of an undisturbed run, or a clear failure and no manifest.
"""
