#!/usr/bin/env python3
"""A CAS client that shares nothing with the project it examines.

It signs in every way that is known, drives all 22 operations of an endpoint, sends what the official clients send, and
is strict about what comes back. Standard library only, written from docs/protocol.md; the number before a check is the
section of that page.

    cas_foreign.py --self-test
    cas_foreign.py --endpoint http://127.0.0.1:9580 --app-id 1250000000 --secret-id ID --secret-key KEY

One line per check, then "N passed, N failed". The exit code is 0 when nothing failed, 1 when something did, and 2 when
nothing could be tried.
"""

import argparse
import sys

from answers import Report
from story_archives import Archives
from story_jobs import Jobs
from story_official import Official
from story_signing import Signatures
from story_vaults import Vaults
from vectors import self_test
from wire import Client


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--self-test", action="store_true",
                        help="check the signer and the hashes against the vectors, then stop")
    parser.add_argument("--endpoint", help="http://127.0.0.1:9580")
    parser.add_argument("--app-id", help="the account's number, which `-` stands for")
    parser.add_argument("--secret-id")
    parser.add_argument("--secret-key")
    parser.add_argument("--region", default="ap-chengdu",
                        help="in the cloud's host name, where an official client would send it (default %(default)s)")
    parser.add_argument("--temporary", metavar="ID:KEY:TOKEN", help="a temporary key pair of the same account, too")
    parser.add_argument("--buckets", action="store_true",
                        help="the server has the buckets that archives are pushed to: such jobs must succeed")
    parser.add_argument("--job-timeout", type=float, default=60, metavar="SECONDS",
                        help="how long a job may take (default %(default)s)")
    options = parser.parse_args()
    missing = [name for name in ("endpoint", "app_id", "secret_id", "secret_key") if not getattr(options, name)]
    if missing and not options.self_test:
        parser.error("needed: --" + ", --".join(name.replace("_", "-") for name in missing) + ", or --self-test")

    report = Report()
    self_test(report)
    if not options.self_test:
        client = Client(options.endpoint, options.app_id, options.secret_id, options.secret_key, options.region)
        try:
            client.connection().open()
        except OSError as unreachable:
            print(f"cas_foreign: {options.endpoint} cannot be reached: {unreachable}", file=sys.stderr)
            return 2
        for group in (Signatures, Vaults, Archives, Official, Jobs):
            group(client, report, options).all()
    print(f"{report.passed} passed, {report.failed} failed")
    return 1 if report.failed else 0


if __name__ == "__main__":
    sys.exit(main())
