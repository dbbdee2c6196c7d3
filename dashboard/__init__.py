"""The window: leaderboard, comparison and rating pages over the record store."""
