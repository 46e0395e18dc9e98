"""Code that the tests share: running the tap, building input, reading output."""
