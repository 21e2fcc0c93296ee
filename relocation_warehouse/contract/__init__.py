"""What the published tables promise: their columns, keys, words and views, and the description that dbt reads."""
