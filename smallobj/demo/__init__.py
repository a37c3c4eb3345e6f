"""Sessions behind demo.py: images, scans, videos."""
