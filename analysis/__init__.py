"""Pure statistics on arrays and Arrow batches: no files, no orchestration, no survey names."""
