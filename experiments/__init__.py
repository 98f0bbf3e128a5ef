"""Scripts that end in tables: flags in, CSV files and a table out."""
