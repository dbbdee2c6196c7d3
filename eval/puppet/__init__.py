"""What the harness knows of puppet scenes: how a mouth follows a sound, and what a case says of itself."""
