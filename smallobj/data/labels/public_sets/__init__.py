"""Layouts that belong to public data sets and competitions."""
