"""Orchestration only: assets, checks, schedules and sensors over functions that live elsewhere."""
