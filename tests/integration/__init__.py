"""Tests against real servers, which `counterfoil.stack` starts; see `conftest.py`."""
