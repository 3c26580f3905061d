"""What is known about an entity when an event arrives: aggregations, windows and the stages that keep their state.

Read ``definition.py`` first, then one file of ``aggregations``: each holds an aggregation's definition, its kernel's
part, its slow twin and the same as SQL.
"""
