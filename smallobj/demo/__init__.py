"""The parts of demo.py: detection in images, scans of large files, and videos."""
