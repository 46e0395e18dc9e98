"""The suite of the tap's tests."""
