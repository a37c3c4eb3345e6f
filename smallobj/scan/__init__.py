"""Images of any size, read strip by strip in memory for a few rows of tiles."""
