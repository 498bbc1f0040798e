"""`python -m pipeline` is the command `gradcam-audit`."""

from pipeline.cli import command

if __name__ == "__main__":
    command()
