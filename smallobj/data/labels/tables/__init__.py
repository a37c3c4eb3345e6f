"""Tables (CSV) with a box a row, whatever their columns are called."""
