"""From the built warehouse to what people open: audit, atomic replacement, files, report."""
