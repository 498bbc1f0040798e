"""One audit on every engine, for `make test-engines`: each writes the rows that the local runner writes."""
