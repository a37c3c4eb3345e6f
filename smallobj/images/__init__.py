"""Image files: which bands of a file become colours, and reading it whole or by windows."""
