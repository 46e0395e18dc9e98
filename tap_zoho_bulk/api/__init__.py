"""How Zoho CRM is reached: HTTP, tokens, requests, limits and errors. No Singer, no records."""
