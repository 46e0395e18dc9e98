"""The documentation's configuration. `make docs` builds it."""

project = "tap-zoho-bulk"
copyright = "the tap-zoho-bulk authors"
extensions = ["myst_parser"]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
html_theme = "furo"
html_title = "tap-zoho-bulk"
exclude_patterns = ["build"]
