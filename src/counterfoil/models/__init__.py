"""Scores from models: empty until they arrive; a decision then takes them beside those of the rules."""
