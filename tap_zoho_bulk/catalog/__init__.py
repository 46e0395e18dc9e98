"""What the account offers to read: modules, fields, views, and cheap probes of a module."""
