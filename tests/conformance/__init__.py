"""Every runtime gives the same decisions: one table of cases, carried out by each."""
