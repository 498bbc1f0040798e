"""What is measured against what; see README.md beside this file."""
