"""Images that are read again: on other backgrounds, by controls of the models, as pictures of the report."""
