"""Tables, files and pages made of a leaderboard; nothing here computes a statistic."""
