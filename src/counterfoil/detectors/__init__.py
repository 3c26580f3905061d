"""The built-in detectors: definitions in YAML like any other, so they serve as the examples too."""
