"""The admin page and API below `/_local/`: change the organisation by hand while it is served."""

from local_zoho_crm.admin.app import PREFIX, Admin

__all__ = ["PREFIX", "Admin"]
