"""What all is measured against: `csv.reader` alone over zipped CSVs.

`python -m benchmarks.csv_alone DIRECTORY` reads every row of DIRECTORY's ZIPs and drops it.
"""

import csv
import io
import sys
import zipfile
from pathlib import Path


def main() -> None:
    """Read."""
    for path in sorted(Path(sys.argv[1]).glob("*.zip")):
        with zipfile.ZipFile(path) as archive, archive.open(archive.namelist()[0]) as entry:
            for _ in csv.reader(io.TextIOWrapper(entry, encoding="utf-8", newline="")):
                pass


if __name__ == "__main__":
    main()
