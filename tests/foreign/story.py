"""What every story needs: a vault of its own, archives, uploads and jobs in it, and pages to turn."""

import os
import re
import time
from contextlib import contextmanager

from answers import BAD_VALUE, ID128, ID64, JOB, mismatches, shape
from wire import MIB, WireError, sha256, tree_hash


class Story:
    """A group of stories: every public method of a subclass is one."""

    def __init__(self, client, report, options):
        self.cas, self.report, self.options, self.job_timeout = client, report, options, options.job_timeout
        self.run, self.count = f"{type(self).__name__}_{os.getpid():x}{int(time.time()):x}", 0

    def all(self):
        for name, story in vars(type(self)).items():
            if name.startswith("_"):
                continue
            self.story = name
            try:
                story(self)
            except (OSError, WireError, KeyError, ValueError, TypeError, IndexError) as stopped:
                self.report.line(f"the story of {name} goes to its end", [f"{type(stopped).__name__}: {stopped}"])
                self.cas.connection().close()

    def name(self):
        self.count += 1
        return f"{self.run}.{self.count}-v"

    @contextmanager
    def fresh_vault(self):
        """A vault of its own, deleted afterwards with the archives of `keep` and the uploads of `start_upload`."""
        vault, self.kept, self.open = self.name(), [], []
        answer = self.cas.do(self.cas.vault("PUT", vault))
        if answer.status != 201:
            raise WireError(f"no vault to work in: {answer.status} {answer.body[:200]!r}")
        try:
            yield vault
        finally:
            for upload in self.open:
                self.cas.do(self.cas.vault("DELETE", vault, f"/multipart-uploads/{upload}"))
            for archive in self.kept:
                self.cas.do(self.cas.vault("DELETE", vault, f"/archives/{archive}"))
            deleted = self.cas.do(self.cas.vault("DELETE", vault))
        self.report.empty(f"5.2 the emptied vault of {self.story} is deleted", deleted, 204)

    def keep(self, answer):
        """Remembers an archive for the end of the story and gives its ID."""
        archive = answer.header("x-cas-archive-id")
        if not archive:
            raise WireError(f"no archive: {answer.status} {answer.body[:200]!r}")
        self.kept.append(archive)
        return archive

    def uploaded(self, name, answer, vault, data):
        """Checks what an upload answers and keeps the archive."""
        self.report.empty(name, answer, 201,
                          ("Location", "x-cas-archive-id", "x-cas-content-sha256", "x-cas-sha256-tree-hash"))
        archive = self.keep(answer)
        found = (answer.header("location"), answer.header("x-cas-content-sha256"),
                 answer.header("x-cas-sha256-tree-hash"))
        self.report.same(f"{name}: its headers", found,
                         (f"/{self.cas.app_id}/vaults/{vault}/archives/{archive}", sha256(data), tree_hash(data)))
        self.report.that(f"{name}: the shape of its ID (1.4)", ID128.fullmatch(archive), archive)
        return archive

    def start_upload(self, vault, part_size=MIB, description=None):
        headers = (("x-cas-part-size", str(part_size)),)
        if description is not None:
            headers += (("x-cas-archive-description", description),)
        answer = self.cas.do(self.cas.vault("POST", vault, "/multipart-uploads", headers=headers))
        upload = answer.header("x-cas-multipart-upload-id")
        if not upload:
            raise WireError(f"no upload: {answer.status} {answer.body[:200]!r}")
        self.open.append(upload)
        return upload

    def start_job(self, name, vault, parameters):
        answer = self.cas.do(self.cas.job(vault, parameters))
        self.report.empty(f"5.19 {name} is accepted", answer, 202, ("Location", "x-cas-job-id"))
        job = answer.header("x-cas-job-id") or ""
        self.report.that(
            f"5.19 {name}: Location and ID agree",
            ID64.fullmatch(job) and answer.header("location") == f"/{self.cas.app_id}/vaults/{vault}/jobs/{job}", job)
        return job

    def describe_job(self, vault, job):
        return self.cas.do(self.cas.vault("GET", vault, f"/jobs/{job}"))

    def finish(self, name, vault, job, status="Succeeded"):
        """Waits for a job and checks the object it leaves."""
        deadline, pause = time.monotonic() + self.job_timeout, 0.02
        first = answer = self.describe_job(vault, job)
        if self.in_progress(first):
            self.running(name, vault, self.report.object(f"5.21 {name}, running", first, JOB))
        while self.in_progress(answer) and time.monotonic() < deadline:
            time.sleep(pause)
            pause = min(2 * pause, 1.0)
            answer = self.describe_job(vault, job)
        value = self.report.object(f"5.21 {name}, finished", answer, JOB)
        wanted = status if isinstance(status, tuple) else (status,)
        self.report.that(f"5.21 {name}: {' or '.join(wanted)}",
                         value.get("StatusCode") in wanted, (value.get("StatusCode"), value.get("StatusMessage")))
        self.report.that(f"5.21 {name}: completed, with a date",
                         value.get("Completed") is True and value.get("CompletionDate") is not None,
                         (value.get("Completed"), value.get("CompletionDate")))
        return value

    @staticmethod
    def in_progress(answer):
        value = answer.json()
        return isinstance(value, dict) and value.get("StatusCode") == "InProgress"

    def running(self, name, vault, value):
        """What §5.21 says of a job under way; only a server that takes its time shows it."""
        found = (value["Completed"], value["CompletionDate"], value["StatusMessage"])
        self.report.same(f"5.21 {name}, running: not completed", found, (False, None, "InProgress"))
        early = self.cas.do(self.cas.output(vault, value["JobId"]))
        if self.in_progress(self.describe_job(vault, value["JobId"])):
            self.report.refused(f"5.22 {name}, running: no output yet", early, 400, BAD_VALUE)
        if value["Action"] == "ArchiveRetrieval":
            whole = value["RetrievalByteRange"] == f"0-{(value['ArchiveSizeInBytes'] or 0) - 1}"
            self.report.that(f"4.3 {name}, running: hash only of the whole archive",
                             (value["SHA256TreeHash"] is not None) == whole, value["SHA256TreeHash"])

    def whole(self, name, vault, archive, data):
        """Retrieves an archive and compares every byte."""
        job = self.start_job(name, vault, {"Type": "archive-retrieval", "ArchiveId": archive})
        value = self.finish(name, vault, job)
        self.report.same(f"5.21 {name}: its hashes", (value["ArchiveSHA256TreeHash"], value["SHA256TreeHash"]),
                         (tree_hash(data),) * 2)
        answer = self.cas.do(self.cas.output(vault, job))
        self.report.bytes(f"5.22 {name} comes back", answer, 200, data)
        return job

    def qcs_ends(self, name, value, vault):
        self.report.that(
            f"1.1 {name}: QCS",
            re.fullmatch(rf"qcs:id/0:cas:[a-z0-9-]+:uid/{self.cas.app_id}:vaults/{re.escape(vault)}", str(value)),
            value)

    def pages(self, name, request, schema, key, item, limit):
        """Every item of a listing, page by page, handing each marker back as it came."""
        found, marker, seen = [], None, set()
        while True:
            query = (("limit", str(limit)),) + ((("marker", marker),) if marker is not None else ())
            answer = self.cas.do(request(query))
            problems = shape(answer, 200) or mismatches(answer.json(), schema)
            if not problems:
                page = answer.json()[key]
                problems = [problem for entry in page for problem in mismatches(entry, item)]
                problems += [f"{len(page)} items, limit {limit}"] if len(page) > limit else []
                found += page
                marker = answer.json()["Marker"]
                problems += [f"the marker {marker} comes again"] if marker in seen else []
                seen.add(marker)
            if problems or marker is None:
                self.report.line(f"{name}: pages of {limit}, {len(seen)} of them", problems)
                return found
