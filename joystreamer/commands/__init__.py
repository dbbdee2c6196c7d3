"""The command line, one file per group of commands; each is a thin skin over a function."""
