"""What flows: event kinds and their fields, columnar batches, decoders, dead letters and generators.

Every decoder turns bytes into a ``Batch`` (``batch.py``): one array a column, ids as keyed hashes. What cannot be
decoded becomes a dead letter with its bytes, its position and a reason.
"""
