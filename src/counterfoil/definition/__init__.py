"""The written form of a detector: YAML to the frozen value and back, every check, and a JSON Schema for editors.

``tree`` reads the text into located nodes, ``parameters`` fills in ``${name}``, ``reading`` gives the nodes their
shape, ``checking`` finds out whether the whole makes sense. Users come in through ``counterfoil.detector_file``.
"""
