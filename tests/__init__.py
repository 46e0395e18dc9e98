"""The suite, the local Zoho CRM that it runs on, and the demo."""
