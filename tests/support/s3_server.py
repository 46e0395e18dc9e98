"""An S3 server for tests, in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def s3_server(bucket: str) -> Iterator[dict[str, str]]:
    """Run a server until the block ends; yield the environment that clients need.

    Args:
        bucket: Name of a bucket that it has.
    """
    environment = {
        "AWS_ACCESS_KEY_ID": "test-key",
        "AWS_SECRET_ACCESS_KEY": "test-secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_REGION": "us-east-1",
    }
    with subprocess.Popen(
        [sys.executable, "-m", __name__, bucket],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as server:
        assert server.stdout
        try:
            yield {**environment, "AWS_ENDPOINT_URL": server.stdout.readline().strip()}
        finally:
            server.kill()


def _serve(bucket: str) -> None:
    import threading  # noqa: PLC0415

    import boto3  # noqa: PLC0415 - not there at lowest versions
    from moto.s3.responses import S3Response  # noqa: PLC0415
    from moto.server import ThreadedMotoServer  # noqa: PLC0415

    lock = threading.Lock()
    put_object = S3Response.put_object

    def put_one_at_a_time(self: S3Response) -> object:
        # moto checks `If-None-Match`, then puts. S3 does both at once.
        with lock:
            return put_object(self)

    S3Response.put_object = put_one_at_a_time  # type: ignore[assignment, method-assign]
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    boto3.client(
        "s3",
        endpoint_url=url,
        aws_access_key_id="test-key",
        aws_secret_access_key="test-secret",
        region_name="us-east-1",
    ).create_bucket(Bucket=bucket)
    print(url, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    _serve(sys.argv[1])
