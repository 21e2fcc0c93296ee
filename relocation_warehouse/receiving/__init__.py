"""From the files of a survey to accepted rows, or to a refusal by name."""
