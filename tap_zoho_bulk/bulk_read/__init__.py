"""Bulk read: query → job → page → rows → record, one file for each step of a record's trail."""
