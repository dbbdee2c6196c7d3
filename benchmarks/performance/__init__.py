"""Performance benches: dated reports with hardware, versions, commit and ratios measured in one run."""
