"""The questions: suites of cases, the puppet world, published results, performance benches."""
