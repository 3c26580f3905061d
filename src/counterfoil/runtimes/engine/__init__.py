"""What Spark and Flink share: a detector as parts that an engine feeds with bytes, and nothing of any engine.

Read ``job.py`` (what a worker must know), ``packing.py`` (records to pieces), ``parts.py`` (what has state),
``joining.py`` (answers to decisions) and ``results.py`` (what goes out), in this order. All that travels is a
``blob.Piece``.
"""
