"""The only files that import networks and image libraries; each loads what it needs once."""
