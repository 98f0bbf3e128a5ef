"""Tables as text: one module for each medium, each with `render`."""
