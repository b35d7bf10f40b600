"""Jobs and their output: docs/protocol.md §5.19 to §5.22, tree hashes of §4.3."""

import csv
import io
import json
import threading
import time

from answers import (BAD_VALUE, INVENTORY, INVENTORY_ITEM, INVENTORY_PARAMETERS, JOB, JOB_LIST, MISSING, NOT_FOUND,
                     mismatches, shape)
from story import Story
from wire import MIB, pattern, sha256, tree_hash


class Jobs(Story):

    def retrieval(self):
        cas, report = self.cas, self.report
        with self.fresh_vault() as vault:
            data = pattern(6815744)
            archive = self.uploaded("5.11 an archive to retrieve", cas.do(cas.archive(vault, data)), vault, data)
            url = "http://127.0.0.1:9/foreign"
            job = self.start_job(
                "a described retrieval", vault, {
                    "Type": "archive-retrieval", "ArchiveId": archive, "Description": "审计", "CallBackUrl": url,
                    "Tier": "Expedited"
                })
            value = self.finish("a described retrieval", vault, job)
            facts = {
                "Action": "ArchiveRetrieval", "ArchiveDescription": None, "ArchiveId": archive,
                "ArchiveSHA256TreeHash": tree_hash(data), "ArchiveSizeInBytes": len(data), "Bucket": None,
                "CallBackUrl": url, "Condition": None, "InventoryRetrievalParameters": None, "InventorySizeInBytes": 0,
                "JobCallBackUrl": url, "JobDescription": "审计", "JobId": job, "Object": None, "Range": None,
                "RetrievalByteRange": f"0-{len(data) - 1}", "SHA256TreeHash": tree_hash(data), "Tier": "Expedited"
            }
            report.same("5.21 every fact of it", {key: value.get(key) for key in facts}, facts)
            self.qcs_ends("a job", value["VaultQCS"], vault)
            job = self.start_job("a bare retrieval", vault, {"Type": "archive-retrieval", "ArchiveId": archive})
            value = self.finish("a bare retrieval", vault, job)
            report.same("5.21 what was not given",
                        [value[k] for k in ("CallBackUrl", "JobCallBackUrl", "JobDescription", "Tier")],
                        ["", "", "", "Standard"])
            self._outputs(vault, job, data)
            self.kept.remove(archive)
            report.empty("5.12 the archive is deleted", cas.do(cas.vault("DELETE", vault, f"/archives/{archive}")), 204)
            answer = cas.do(cas.output(vault, job, "0-4"))
            report.bytes("5.12 its output stays", answer, 206, data[:5])
            late = self.start_job("a retrieval of a deleted archive", vault,
                                  {"Type": "archive-retrieval", "ArchiveId": archive})
            self.finish("a retrieval of a deleted archive", vault, late, "Failed")
            report.refused("5.22 a failed job has no output", cas.do(cas.output(vault, late)), 400, BAD_VALUE)

    def _outputs(self, vault, job, data):
        """Every form of `Range` on an output of 6815744 bytes, and the tree hashes of §4.3."""
        cas, report, size = self.cas, self.report, len(data)
        answer = cas.do(cas.output(vault, job))
        report.bytes("5.22 the whole output", answer, 200, data)
        report.same("5.22 as bytes, with its tree hash",
                    (answer.header("content-type"), answer.header("x-cas-sha256-tree-hash")),
                    ("application/octet-stream", tree_hash(data)))
        report.same("5.22 without Content-Range", answer.header("content-range"), None)
        report.bytes("5.22 spelled /Output", cas.do(cas.output(vault, job, spelled="Output")), 200, data)
        last = size - 1
        for asked, start, end, hashed in (("0-100", 0, 100, False),
                                          ("5-5", 5, 5, False),
                                          (f"0-{last}", 0, last, True),
                                          ("0-4194303", 0, 4194303, True),
                                          ("2097152-3145727", 2097152, 3145727, True),
                                          ("4194304-6291455", 4194304, 6291455, True),
                                          ("4194304-", 4194304, last, True),
                                          ("6291456-6815743", 6291456, last, True),
                                          ("6291456-99999999", 6291456, last, True),
                                          ("1048576-3145727", 1048576, 3145727, False),
                                          ("6815000-", 6815000, last, False),
                                          ("-1000", size - 1000, last, False),
                                          (f"{last}-{2 * size}", last, last, False)):
            answer = cas.do(cas.output(vault, job, asked))
            chosen = data[start:end + 1]
            report.bytes(f"5.22 bytes={asked}", answer, 206, chosen)
            report.same(f"5.22 bytes={asked}: range and tree hash",
                        (answer.header("content-range"), answer.header("x-cas-sha256-tree-hash")),
                        (f"bytes {start}-{end}/{size}", tree_hash(chosen) if hashed else None))
        answer = report.refused("5.22 a range past the end", cas.do(cas.output(vault, job, f"{size}-")), 416, BAD_VALUE)
        report.same("5.22 tells the size", answer.header("content-range"), f"bytes */{size}")

    def retrieval_ranges(self):
        cas, report = self.cas, self.report
        with self.fresh_vault() as vault:
            data = pattern(6815744)
            archive = self.keep(cas.do(cas.archive(vault, data)))
            for asked, start, end, aligned in (("4194304-6291455", 4194304, 6291455, True),
                                               ("6291456-6815743", 6291456, 6815743, True),
                                               ("1048576-3145727", 1048576, 3145727, False),
                                               ("4194304-", 4194304, 6815743, True)):
                name = f"a retrieval of {asked}"
                job = self.start_job(
                    name, vault,
                    {"Type": "archive-retrieval", "ArchiveId": archive, "RetrievalByteRange": asked, "Tier": "Bulk"})
                value = self.finish(name, vault, job)
                chosen = data[start:end + 1]
                digest = tree_hash(chosen) if aligned else None
                report.same(f"5.21 {name}: range, hash and tier",
                            (value["RetrievalByteRange"], value["SHA256TreeHash"], value["Tier"]),
                            (f"{start}-{end}", digest, "Bulk"))
                answer = cas.do(cas.output(vault, job))
                report.bytes(f"5.22 {name}: its bytes", answer, 200, chosen)
                report.same(f"4.3 {name}: tree hash of the output", answer.header("x-cas-sha256-tree-hash"), digest)
                if len(chosen) > MIB:
                    answer = cas.do(cas.output(vault, job, f"{MIB}-{2 * MIB - 1}"))
                    report.bytes(f"5.22 {name}: byte 0 is the first retrieved", answer, 206, chosen[MIB:2 * MIB])
                    report.same(f"4.3 {name}: tree hash of a leaf", answer.header("x-cas-sha256-tree-hash"),
                                tree_hash(chosen[MIB:2 * MIB]) if aligned else None)

    def slices(self):
        """Rule 14 of §2.4, on an archive whose parts arrive in parallel."""
        cas, report = self.cas, self.report
        with self.fresh_vault() as vault:
            data, part_size = pattern(33 * MIB + 54321), 4 * MIB
            upload, statuses = self.start_upload(vault, part_size), {}

            def send(start):
                statuses[start] = cas.do(cas.part(vault, upload, start, data[start:start + part_size])).status

            starts = list(range(0, len(data), part_size))
            threads = [threading.Thread(target=send, args=(start,)) for start in reversed(starts)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            report.same("5.14 parts in parallel", statuses, {start: 204 for start in starts})
            archive = self.keep(cas.do(cas.complete(vault, upload, len(data), tree_hash(data))))
            self.open.remove(upload)
            job = self.start_job("a large retrieval", vault, {"Type": "archive-retrieval", "ArchiveId": archive})
            value = self.finish("a large retrieval", vault, job)
            report.same("5.21 a large retrieval: its hash", value["SHA256TreeHash"], tree_hash(data))
            for start in range(0, len(data), 32 * MIB):
                end = min(start + 32 * MIB, len(data)) - 1
                answer = cas.do(cas.output(vault, job, f"{start}-{end}"))
                report.bytes(f"2.4 the slice from {start} (rule 14)", answer, 206, data[start:end + 1])
                report.same(f"2.4 has its tree hash (rule 14), from {start}", answer.header("x-cas-sha256-tree-hash"),
                            tree_hash(data[start:end + 1]))

    def job_refusals(self):
        cas, report = self.cas, self.report
        with self.fresh_vault() as vault:
            archive = self.keep(cas.do(cas.archive(vault, pattern(2 * MIB + 5))))
            ask = lambda **fields: cas.do(cas.job(vault, fields))
            fetch = lambda **fields: ask(Type="archive-retrieval", ArchiveId=archive, **fields)
            report.refused("5.19 no JSON", cas.do(cas.vault("POST", vault, "/jobs", body=b"Type=x")), 400,
                           "SerializationException")
            report.refused("5.19 no Type", ask(ArchiveId=archive), 400, MISSING)
            report.refused("5.19 an unknown Type", ask(Type="archive-deletion"), 400, BAD_VALUE)
            report.refused("5.19 no ArchiveId", ask(Type="archive-retrieval"), 400, MISSING)
            report.refused("5.19 an archive that never was", ask(Type="archive-retrieval", ArchiveId="-" + "A" * 127),
                           404, NOT_FOUND)
            report.refused("5.19 an unknown tier", fetch(Tier="Yesterday"), 400, BAD_VALUE)
            report.refused("5.19 a callback of another scheme", fetch(CallBackUrl="gopher://example.com"), 400,
                           BAD_VALUE)
            for asked in ("1-1048575", "0-1048574", "1048576-1048575", f"0-{3 * MIB - 1}", "3145728-4194303", "all"):
                report.refused(f"5.19 the range {asked}", fetch(RetrievalByteRange=asked), 400, BAD_VALUE)
            for fields in ({"Format": "XML"},
                           {"InventoryRetrievalParameters": {"Limit": "0"}},
                           {"InventoryRetrievalParameters": {"Limit": "10001"}},
                           {"InventoryRetrievalParameters": {"StartDate": "yesterday"}}):
                report.refused(f"5.19 an inventory with {json.dumps(fields)}",
                               ask(Type="inventory-retrieval", **fields), 400, BAD_VALUE)
            report.refused("5.19 push-to-cos without Bucket", ask(Type="push-to-cos", ArchiveId=archive, Object="o"),
                           400, MISSING)
            report.refused("5.19 push-to-cos without Object", ask(Type="push-to-cos", ArchiveId=archive, Bucket="b"),
                           400, MISSING)
            report.refused("5.19 pull-from-cos without Object", ask(Type="pull-from-cos", Bucket="b"), 400, MISSING)
            report.refused("5.20 a job nobody started", self.describe_job(vault, "-" + "A" * 63), 404, NOT_FOUND)
            report.refused("5.22 nor its output", cas.do(cas.output(vault, "A" * 64)), 404, NOT_FOUND)
        report.refused("5.19 a missing vault", cas.do(cas.job(self.name(), {"Type": "inventory-retrieval"})), 404,
                       NOT_FOUND)

    def job_listing(self):
        cas, report = self.cas, self.report
        with self.fresh_vault() as vault:
            listing = lambda query=(): cas.vault("GET", vault, "/jobs", query)
            report.same("5.21 no jobs", report.object("5.21 an empty list", cas.do(listing()), JOB_LIST),
                        {"JobList": [], "Marker": None})
            archive = self.keep(cas.do(cas.archive(vault, b"hello")))
            jobs = {
                self.start_job(f"job {n} of a list", vault, {"Type": "archive-retrieval", "ArchiveId": archive})
                for n in range(2)
            }
            jobs.add(self.start_job("an inventory in a list", vault, {"Type": "inventory-retrieval"}))
            for job in jobs:
                self.finish("a job of a list", vault, job)
            found = self.pages("5.21 jobs", listing, JOB_LIST, "JobList", JOB, limit=2)
            report.same("5.21 every job once", sorted(item["JobId"] for item in found), sorted(jobs))
            described = {job: self.describe_job(vault, job).json() for job in jobs}
            report.same("5.21 listed as described", {item["JobId"]: item for item in found}, described)
            for query, count in (("completed=true", 3), ("completed=True", 3), ("completed=false", 0),
                                 ("completed=False", 0), ("statuscode=Succeeded", 3), ("statuscode=InProgress", 0),
                                 ("statuscode=Failed", 0), ("completed=true&statuscode=Failed", 0)):
                pairs = tuple(tuple(pair.split("=")) for pair in query.split("&"))
                value = report.object(f"5.21 filtered by {query}", cas.do(listing(pairs)), JOB_LIST)
                report.same(f"5.21 {query} finds {count}", len(value["JobList"]), count)

    def inventory(self):
        cas, report = self.cas, self.report
        with self.fresh_vault() as vault:
            first = self.keep(cas.do(cas.archive(vault, b"hello", 'a, "b", c')))
            second = self.keep(cas.do(cas.archive(vault, pattern(MIB + 1))))
            expected = {first: ('a, "b", c', 5, sha256(b"hello")), second: ("", MIB + 1, tree_hash(pattern(MIB + 1)))}
            job = self.start_job("an inventory", vault,
                                 {"Type": "inventory-retrieval", "Description": "list", "Format": "JSON"})
            value = self.finish("an inventory", vault, job)
            nulls = ("ArchiveDescription", "ArchiveId", "ArchiveSHA256TreeHash", "ArchiveSizeInBytes", "Bucket",
                     "Condition", "Object", "Range", "RetrievalByteRange", "SHA256TreeHash", "Tier")
            report.same("5.21 an inventory job: its nulls", {key: value[key] for key in nulls}, dict.fromkeys(nulls))
            report.same("5.21 an inventory job: action and description", (value["Action"], value["JobDescription"]),
                        ("InventoryRetrieval", "list"))
            report.line("5.21 an inventory job: its parameters",
                        mismatches(value["InventoryRetrievalParameters"], INVENTORY_PARAMETERS))
            report.same("5.21 an inventory job: nothing set", value["InventoryRetrievalParameters"],
                        {"EndDate": None, "Format": "JSON", "Limit": 0, "Marker": None, "StartDate": None})
            answer = cas.do(cas.output(vault, job))
            inventory = report.object("5.22 an inventory in JSON", answer, INVENTORY)
            report.line("5.22 each archive of it",
                        [p for item in inventory["ArchiveList"] for p in mismatches(item, INVENTORY_ITEM)])
            report.same("5.22 what it tells", {
                i["ArchiveId"]: (i["ArchiveDescription"], i["Size"], i["SHA256TreeHash"])
                for i in inventory["ArchiveList"]
            }, expected)
            report.same("5.21 InventorySizeInBytes", value["InventorySizeInBytes"], len(answer.body))
            report.same("4.3 no tree hash on it", answer.header("x-cas-sha256-tree-hash"), None)
            self.qcs_ends("an inventory", inventory["VaultQCS"], vault)
            part = cas.do(cas.output(vault, job, "1-9"))
            report.bytes("5.22 a range of it", part, 206, answer.body[1:10])
            report.same("5.22 with Content-Range", part.header("content-range"), f"bytes 1-9/{len(answer.body)}")
            job = self.start_job("an inventory in CSV", vault, {"Type": "inventory-retrieval", "Format": "CSV"})
            value = self.finish("an inventory in CSV", vault, job)
            report.same("5.21 its format", value["InventoryRetrievalParameters"]["Format"], "CSV")
            answer = cas.do(cas.output(vault, job))
            report.line("5.22 an inventory in CSV", shape(answer, 200))
            report.same("5.22 is text/csv", answer.header("content-type"), "text/csv")
            text = answer.body.decode()
            rows = list(csv.reader(io.StringIO(text, newline="")))
            report.same("5.22 its columns", rows[0],
                        ["ArchiveId", "ArchiveDescription", "CreationDate", "Size", "SHA256TreeHash"])
            report.that("5.22 its line ends", text.endswith("\r\n") and text.count("\r\n") == len(rows) == 3, text)
            report.same("5.22 what it tells in CSV", {r[0]: (r[1], int(r[3]), r[4]) for r in rows[1:]}, expected)

    def inventory_pages(self):
        cas, report = self.cas, self.report
        with self.fresh_vault() as vault:
            archives = sorted(self.keep(cas.do(cas.archive(vault, bytes([n])))) for n in range(5))

            def listed(name, **parameters):
                job = self.start_job(name, vault,
                                     {"Type": "inventory-retrieval", "InventoryRetrievalParameters": parameters})
                value = self.finish(name, vault, job)
                inventory = cas.do(cas.output(vault, job)).json()
                return [item["ArchiveId"] for item in inventory["ArchiveList"]], value["InventoryRetrievalParameters"]

            found, marker, rounds = [], None, 0
            while rounds < 5:
                rounds += 1
                limit = {"Limit": "2" if rounds % 2 else 2, **({"Marker": marker} if marker else {})}
                page, parameters = listed(f"inventory page {rounds}", **limit)
                report.that(f"5.21 page {rounds}: at most two, Limit a number",
                            len(page) <= 2 and parameters["Limit"] == 2, (page, parameters["Limit"]))
                found += page
                marker = parameters["Marker"]
                if marker is None:
                    break
            report.same("5.21 the pages hold every archive once", (sorted(found), rounds), (archives, 3))
            day = lambda offset: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 86400 * offset))
            report.same("5.19 created after tomorrow", listed("an inventory of tomorrow", StartDate=day(1))[0], [])
            report.same("5.19 created before yesterday", listed("an inventory of yesterday", EndDate=day(-1))[0], [])
            page, parameters = listed("an inventory of these days", StartDate=day(-1), EndDate=day(1), Limit="10000")
            report.same("5.19 created in between", sorted(page), archives)
            report.that("5.21 the dates come back", parameters["StartDate"] and parameters["EndDate"]
                        and parameters["Limit"] == 10000, parameters)

    def cos(self):
        """Push and pull: a server without buckets may let the jobs fail, in the same shape."""
        cas, report = self.cas, self.report
        bucket, key = "examplebucket-1250000000.cos.ap-chengdu.myqcloud.com", f"foreign/{self.run}/报告.bin"
        with self.fresh_vault() as vault:
            data = pattern(2 * MIB + 7)
            archive = self.keep(cas.do(cas.archive(vault, data)))
            push = {
                "Type": " push-to-cos", "ArchiveId": archive, "Bucket": bucket, "Object": key, "Description": "push",
                "Tier": "Standard"
            }
            job = self.start_job("push-to-cos, with a leading blank", vault, push)
            value = self.finish("push-to-cos", vault, job,
                                "Succeeded" if self.options.buckets else ("Succeeded", "Failed"))
            facts = {
                "Action": "PushToCOS", "ArchiveDescription": None, "ArchiveId": archive,
                "ArchiveSHA256TreeHash": tree_hash(data), "ArchiveSizeInBytes": len(data), "Bucket": bucket,
                "Condition": None, "InventoryRetrievalParameters": None, "InventorySizeInBytes": 0,
                "JobDescription": "push", "Object": key, "Range": None, "RetrievalByteRange": f"0-{len(data) - 1}",
                "SHA256TreeHash": None, "Tier": "Standard"
            }
            report.same("5.21 push-to-cos: every fact", {k: value.get(k) for k in facts}, facts)
            report.refused("5.22 push-to-cos has no output", cas.do(cas.output(vault, job)), 400, BAD_VALUE)
            stored = value["StatusCode"] == "Succeeded"
            sent = {"If-Unmodified-Since": "Fri, 01 Mar 2999 02:03:04 GMT"}
            pull = {
                "Type": "pull-from-cos", "Bucket": bucket, "Object": key, "Range": f"0-{len(data) - 1}",
                "Condition": sent, "ArchiveDescription": "from COS", "Description": "pull"
            }
            job = self.start_job("pull-from-cos", vault, pull)
            value = self.finish("pull-from-cos", vault, job, "Succeeded" if stored else "Failed")
            facts = {
                "Action": "PullFromCOS", "ArchiveDescription": "from COS", "Bucket": bucket,
                "InventoryRetrievalParameters": None, "InventorySizeInBytes": 0, "JobDescription": "pull",
                "Object": key, "RetrievalByteRange": None, "SHA256TreeHash": None, "Tier": None,
                "Condition": {"If-Umodified-Since": sent["If-Unmodified-Since"]}
            }
            report.same("5.21 pull-from-cos: every fact", {k: value.get(k) for k in facts}, facts)
            report.refused("5.22 pull-from-cos has no output", cas.do(cas.output(vault, job)), 400, BAD_VALUE)
            if stored and value["ArchiveId"]:
                self.kept.append(value["ArchiveId"])
                report.that("5.21 pull-from-cos makes another archive", value["ArchiveId"] != archive
                            and value["ArchiveSizeInBytes"] == len(data), value["ArchiveId"])
                self.whole("an archive that went through COS", vault, value["ArchiveId"], data)
