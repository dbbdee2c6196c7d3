"""Read the input files of other projects into cases, and write cases back into those forms."""
