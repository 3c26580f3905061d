"""The aggregations, one a file: count, sum, mean, std, min, max, distinct, share, frequency, last and the rest."""
