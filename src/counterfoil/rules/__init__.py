"""SQL conditions over events and features: parsed by sqlglot, checked against declared types, run without eval.

Read ``definition.py`` first, then ``expression.py``, which turns a text into instructions, and ``program.py``, which
runs them over whole batches.
"""
