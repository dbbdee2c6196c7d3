"""Blinded human comparison: campaigns, assignments, votes, their ledger and their statistics.

Knows suites and systems by name only. It opens no clip, draws no page and imports nothing heavy, so
a leaderboard of human votes appears in a second on a laptop.
"""
