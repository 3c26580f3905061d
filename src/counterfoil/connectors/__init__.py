"""Where events come from and where decisions go: one technology a file.

A connector opens its client library in a guarded import, so that the base install needs none of them. Its docstring
states its guarantee: at least once, or exactly once and by what key.
"""
