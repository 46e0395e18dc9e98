"""`python -m zoho_bulk_fleet`."""

from zoho_bulk_fleet.command import main

if __name__ == "__main__":
    main()
