"""Training mappers: a photograph and its labels in, training dicts out."""
