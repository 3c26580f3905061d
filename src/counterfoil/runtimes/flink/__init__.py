"""Flink: the engine's parts as a PyFlink job, from Kafka to Kafka, exactly once.

Python is called for batches alone. Records become batches, and batches become messages again, in two small operators in
Java (``java/``), which travel as text and which Flink compiles as it compiles its own generated ones: so there is
nothing to build, and no record of a topic is ever an object of Python.
"""
