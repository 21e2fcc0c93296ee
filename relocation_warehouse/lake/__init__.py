"""The optional lake, a DuckLake catalog on PostgreSQL: surveys arrive from many processes, refreshes are kept."""
