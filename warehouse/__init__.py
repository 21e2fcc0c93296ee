"""The command line, settings and the connection to the build database."""
