"""A page's ICS file to calendar events, and events to chunks."""
