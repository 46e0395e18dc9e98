"""Run tap-zoho-bulk for many Zoho organisations, from any scheduler.

`run` syncs one organisation. It knows no scheduler: Airflow, Dagster, Prefect, a Kubernetes job and
cron call it alike. What must outlive a run (state, catalog, figures, log) is in object storage, so
any machine can run any organisation.
"""

from zoho_bulk_fleet.fleet import Fleet
from zoho_bulk_fleet.organisation import Organisation
from zoho_bulk_fleet.outcome import Outcome, Result
from zoho_bulk_fleet.run import run

__all__ = ["Fleet", "Organisation", "Outcome", "Result", "run"]
