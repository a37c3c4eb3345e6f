"""Detection in images of any size, read in strips; a few rows of tiles are in memory at once."""
