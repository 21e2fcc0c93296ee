"""The `warehouse` command and the refresh that it runs."""
