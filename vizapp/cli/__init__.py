"""The command line: everything that the window can compute, the command can print."""
