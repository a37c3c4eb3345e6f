"""Reading labels: one module a format, and what all of them share: rules, problems, records."""
