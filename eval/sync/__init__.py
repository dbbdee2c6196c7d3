"""How far lips and sound belong together: SyncNet's distance and confidence, exactly and streamed."""
