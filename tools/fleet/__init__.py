"""A fleet on this machine: Airflow on Celery and Redis, with a worker killed in the middle."""
