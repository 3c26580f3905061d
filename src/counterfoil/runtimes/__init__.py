"""What carries batches through a compiled detector. It owns positions, durability and outputs; no fraud logic."""
