"""Great Expectations suites for what arrives and what leaves, and their adapter to checks."""
