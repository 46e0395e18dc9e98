"""Programs for developers: the demo, the pictures, and the stated settings."""
