"""The same work in another framework, to compare with."""
