"""A simulation: stories of an organisation, its users, Zoho's faults, and runs of the tap.

Each story is drawn from a seed. After runs without edits and faults, the warehouse must be equal to
what Zoho has; and some things must hold all the time. `python -m tests.simulation 17` plays story
17; `make simulate SEEDS=0-999` plays a thousand.
"""
