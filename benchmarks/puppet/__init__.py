"""A procedural world of talking puppets: what was asked, what is heard and what is seen are known exactly."""
