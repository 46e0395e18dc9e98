"""Singer tap for Zoho CRM, built on the Bulk Read API."""
