"""The Singer streams, one file for each kind. Only they, `tap.py` and `emit/` know the SDK."""
