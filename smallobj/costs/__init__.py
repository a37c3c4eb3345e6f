"""What a detector costs: arithmetic, memory, and a process of its own to measure them in."""
