"""What the official clients send: docs/protocol.md §2.4."""

import json

from answers import JOB_LIST, VAULT, VAULT_LIST, is_text
from story import Story
from wire import sha256


class Official(Story):

    def python(self):
        cas, report = self.cas, self.report
        query = (("marker", ""), ("limit", "5"))
        report.object("2.4 python: ?marker without = (rule 6)", cas.python(cas.vaults(query=query, uid="-")),
                      VAULT_LIST)
        report.object("2.4 python: / bare and ~ escaped (rule 6)",
                      cas.python(cas.vaults(query=(("marker", "qcs:id/0:Cas~"), ("limit", "5")))), VAULT_LIST)
        report.object("2.4 python: the name of the cloud (rule 2)", cas.python(cas.vaults(), host=cas.cloud_host),
                      VAULT_LIST)
        with self.fresh_vault() as vault:
            report.object("2.4 python: describes a vault", cas.python(cas.vault("GET", vault)), VAULT)
            answer = cas.python(cas.archive(vault, b"hello", "报告"), streamed=True)
            archive = self.uploaded("2.4 python: two Hosts on an archive (rule 1)", answer, vault, b"hello")
            answer = cas.python(cas.archive(vault, b"hello"), streamed=True, host=cas.cloud_host)
            self.uploaded("2.4 python: two Hosts, the second one signed (rules 1, 2)", answer, vault, b"hello")
            upload = self.start_upload(vault)
            answer = report.empty("2.4 python: two Hosts, Content-Range unsigned",
                                  cas.python(cas.part(vault, upload, 0, b"hello"), streamed=True), 204)
            report.same("2.4 python: the part's tree hash", answer.header("x-cas-sha256-tree-hash"), sha256(b"hello"))
            completed = cas.python(cas.complete(vault, upload, 5, sha256(b"hello")))
            self.keep(report.empty("2.4 python: completes an upload", completed, 201, ("x-cas-archive-id",)))
            self.open.clear()
            answer = cas.python(cas.job(vault, {"Type": "archive-retrieval", "ArchiveId": archive}))
            job = report.empty("2.4 python: JSON without Content-Type (rule 5)", answer, 202,
                               ("x-cas-job-id",)).header("x-cas-job-id")
            value = self.finish("python: a retrieval", vault, job)
            report.that("2.4 python: the keys it indexes (rule 10)",
                        value.get("RetrievalByteRange") == "0-4" and value.get("Tier") == "Standard", value)
            listing = cas.vault("GET", vault, "/jobs", (("marker", ""), ("completed", "True")))
            value = report.object("2.4 python: completed=True (rule 6)", cas.python(listing), JOB_LIST)
            report.same("2.4 python: finds the job", [item["JobId"] for item in value["JobList"]], [job])
            answer = cas.python(cas.output(vault, job, "0-4"))
            report.bytes("2.4 python: any Range is a 206 (rule 9)", answer, 206, b"hello")
            report.same("2.4 python: and has a Content-Range (rule 9)", answer.header("content-range"), "bytes 0-4/5")
            answer = cas.python(
                cas.job(vault, {"Type": "inventory-retrieval", "InventoryRetrievalParameters": {}, "Description": ""}))
            report.empty("2.4 python: an empty parameters object", answer, 202, ("x-cas-job-id",))

    def node(self):
        cas, report = self.cas, self.report
        report.object("2.4 node: absolute form, nothing signed (rules 3, 4)", cas.node(cas.vaults(uid="-")), VAULT_LIST)
        vault = self.name()
        report.empty("2.4 node: creates a vault", cas.node(cas.vault("PUT", vault, uid="-")), 201, ("Location",))
        answer = cas.node(cas.archive(vault, b"hello", "café".encode("latin-1"), uid="-"), content_type="false")
        archive = report.empty("2.4 node: content-type: false (rule 5)", answer, 201,
                               ("x-cas-archive-id",)).header("x-cas-archive-id")
        document = json.dumps({
            "version": "2.0", "statement": [{
                "effect": "allow", "principal": {"qcs": ["qcs::cam::uin/0:uin/0"]}, "action": ["name/cas:*"],
                "resource": [f"qcs::cas:ap-chengdu:uid/{cas.app_id}:vaults/{vault}"]
            }]
        })
        policy = lambda method, body=None: cas.node(cas.vault(method, vault, "/access-policy", body=body, uid="-"))
        report.empty("2.4 node: sets a policy", policy("PUT", json.dumps({"policy": document}).encode()), 204)
        value = report.object("2.4 node: parses the string it gets (rule 13)", policy("GET"), {"policy": is_text})
        report.same("2.4 node: the same policy", json.loads(value["policy"]), json.loads(document))
        report.empty("2.4 node: deletes it", policy("DELETE"), 204)
        job = cas.node(
            cas.vault("POST", vault, "/jobs", body=json.dumps({"Type": "archive-retrieval",
                                                               "ArchiveId": archive}).encode(), uid="-"))
        job = report.empty("2.4 node: starts a job", job, 202, ("x-cas-job-id",)).header("x-cas-job-id")
        self.finish("node: a retrieval", vault, job)
        answer = cas.node(cas.output(vault, job, "0-100"))
        report.bytes("2.4 node: asks past the end and gets what is there", answer, 206, b"hello")
        report.empty("2.4 node: deletes the archive",
                     cas.node(cas.vault("DELETE", vault, f"/archives/{archive}", uid="-")), 204)
        report.empty("2.4 node: deletes the vault", cas.node(cas.vault("DELETE", vault, uid="-")), 204)
