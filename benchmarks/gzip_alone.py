"""What gzipped files are measured against: gzip alone, as quick as the tap has it.

`python -m benchmarks.gzip_alone FILE` reads a file, and drops what it compresses.
"""

import gzip
import os
import shutil
import sys
from pathlib import Path


def main() -> None:
    """Compress."""
    with (
        Path(sys.argv[1]).open("rb") as file,
        gzip.open(os.devnull, "wb", compresslevel=1) as zipped,
    ):
        shutil.copyfileobj(file, zipped, 1 << 18)


if __name__ == "__main__":
    main()
