"""Spark: the parts of a detector under Structured Streaming; only what is Spark's own.

``session.py`` makes the session, ``query.py`` draws the job, ``workers.py`` is what runs in Spark's Python workers,
``sources.py`` reads files, ``outputs.py`` writes what the driver gets, ``runtime.py`` runs it all; ``gaps.py`` declares
what Spark does not do. What all engines share is in ``runtimes/engine``.
"""
