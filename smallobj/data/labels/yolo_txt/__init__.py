"""YOLO's text files, and Ultralytics' data.yaml that names them."""
