"""What a survey folder may say, how its files are read and how its crosswalk becomes SQL."""
