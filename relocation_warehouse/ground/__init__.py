"""What every other part stands on: paths, the build database, the state of the last refresh, quoting, engine names."""
