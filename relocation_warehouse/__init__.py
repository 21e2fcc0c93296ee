"""Harmonised warehouse of household surveys: from the files of a survey to what is published."""
