"""From workdirs to tables, pictures and reports."""
