"""SQL conditions over events and features: parsed by sqlglot, checked against declared types, run without eval.

Read ``definition.py`` first, then ``expression.py``, which turns a text into instructions, and ``program.py``, which
runs them over whole batches. ``kernel.py`` is the machine under it, ``twin.py`` the same language once more, slowly and
in plain Python, to prove it, and ``sql.py`` writes an expression for DuckDB.
"""
