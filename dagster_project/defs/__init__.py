"""Assets in the order of the data path: ingest, transform, quality, analysis, publish."""
