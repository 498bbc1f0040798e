"""Models with planted shortcuts, audited by the real pipeline: how often the verdicts are right."""
