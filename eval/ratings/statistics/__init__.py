"""Statistics of pairwise votes as pure functions of arrays: no storage, no page, no clock."""
