"""The measure: clips become scores (metrics, ratings, statistics and the record store)."""
