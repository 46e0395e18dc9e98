"""What Zoho CRM's data looks like: types, criteria, scopes, hosts. No I/O, no Singer."""
