"""The pages that read results: leaderboard, cases, checkpoints, runs and comparison.

Each page's file has one function `show(workspace)`; nothing here writes to the store.
"""
