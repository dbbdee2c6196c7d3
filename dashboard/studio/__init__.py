"""The studio: clips made to order by a process of their own, watched, cancelled, and sent to compare.

No server process loads a network: planning and making are the commands of `joystreamer`.
"""
