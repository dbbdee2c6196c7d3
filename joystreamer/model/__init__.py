"""The network: a Wan transformer plus what JoyStreamer adds to it (motion, reference, audio)."""
