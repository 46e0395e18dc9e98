"""What Zoho CRM's data looks like. No I/O, no Singer."""
