"""Score -> Summary -> Finding: what a model's scores say together, and how sure that is."""
