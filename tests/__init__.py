"""One test module for each module of the project, named after it; builders and strategies beside them."""
