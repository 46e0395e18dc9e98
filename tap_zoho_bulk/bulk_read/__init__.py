"""One query to pages on disk: query, chain, job, archive, page, and the progress through them."""
