"""How good detection is, on shared data, by the protocols of that data and through the product's own path.

``python -m benchmarks.quality`` (``make quality``) replays history through a built-in detector, trains on what was
known at the time, converts to ONNX, scores in time order, and prints one JSON object a protocol.
"""
