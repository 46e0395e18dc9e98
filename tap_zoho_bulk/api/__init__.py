"""How Zoho CRM is reached: HTTP, tokens, requests and errors. No Singer, no records."""
