"""Tests of the stack without its servers; `tests/integration` starts them."""
