"""One HTML file that shows what some workdirs hold: to read, to sort, to print and to send."""
