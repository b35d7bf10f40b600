"""Archives in one request and in parts: docs/protocol.md §5.11 to §5.18."""

from dataclasses import replace

from answers import BAD_VALUE, ID64, INVENTORY, MISSING, NOT_FOUND, PART, PART_LIST, UPLOAD, UPLOAD_LIST
from story import Story
from wire import MIB, Signing, pattern, sha256, tree_hash


class Archives(Story):

    def archives(self):
        cas, report = self.cas, self.report
        with self.fresh_vault() as vault:
            data = pattern(1500000)
            first = self.uploaded("5.11 an archive", cas.do(cas.archive(vault, data)), vault, data)
            second = self.uploaded("5.11 the same bytes, by the dash", cas.do(cas.archive(vault, data, uid="-")), vault,
                                   data)
            report.that("1.1 are another archive", first != second)
            self.uploaded("5.11 one byte", cas.do(cas.archive(vault, b"\0")), vault, b"\0")
            self.uploaded("5.11 hashes in capitals (rule 15)", cas.do(cas.archive(vault, data, upper=True)), vault,
                          data)
            self.uploaded("5.11 an explicit Content-Type",
                          cas.do(cas.archive(vault, b"x"), extra=(("Content-Type", "application/octet-stream"),)),
                          vault, b"x")
            other = cas.archive(vault, b"other").headers
            good = cas.archive(vault, b"hello")
            report.refused("5.11 another content hash", cas.do(replace(good, headers=(other[0], good.headers[1]))), 400,
                           BAD_VALUE)
            report.refused("5.11 another tree hash", cas.do(replace(good, headers=(good.headers[0], other[1]))), 400,
                           BAD_VALUE)
            report.refused("5.11 no content hash", cas.do(replace(good, headers=good.headers[1:])), 400, MISSING)
            report.refused("5.11 no tree hash", cas.do(replace(good, headers=good.headers[:1])), 400, MISSING)
            report.refused("5.11 a hash of three digits",
                           cas.do(replace(good, headers=(("x-cas-content-sha256", "abc"), good.headers[1]))), 400,
                           BAD_VALUE)
            report.refused("5.11 no bytes", cas.do(cas.archive(vault, b"")), 400, None)
            report.refused("5.11 a missing vault", cas.do(cas.archive(self.name(), b"hello")), 404, NOT_FOUND)
            report.refused("5.2 a vault with archives stays", cas.do(cas.vault("DELETE", vault)), 400, "BadRequest")
            self._chunked(vault, good)
            self.kept.remove(second)
            delete = cas.vault("DELETE", vault, f"/archives/{second}")
            report.empty("5.12 deleted", cas.do(delete), 204)
            report.refused("5.12 deleted again", cas.do(delete), 404, NOT_FOUND)
            report.refused("5.12 an ID nobody made", cas.do(cas.vault("DELETE", vault, "/archives/-" + "A" * 127)), 404,
                           NOT_FOUND)

    def _chunked(self, vault, request):
        """§5.11: no chunked transfer; a server may ask for the length."""
        token = self.cas.token(request, (("Host", self.cas.host_port),) + request.headers, Signing())
        headers = (("Host", self.cas.host_port), ("Transfer-Encoding", "chunked"), *request.headers,
                   ("Authorization", token))
        answer = self.cas.send("POST", request.target(), headers, b"5\r\nhello\r\n0\r\n\r\n", fresh=True)
        self.report.refused("5.11 a body in chunks", answer, (400, 411), None)

    def descriptions(self):
        cas, report = self.cas, self.report
        with self.fresh_vault() as vault:
            wanted = {}
            for name, sent, meant in (("none", None, ""),
                                      ("ASCII", 'spring audit, "Q1"', None),
                                      ("UTF-8", "报告 2024/Q1~a+b", None),
                                      ("Latin-1", "café".encode("latin-1"), "café"),
                                      ("1024 bytes", "d" * 1024, None)):
                archive = self.uploaded(f"5.11 description: {name}", cas.do(cas.archive(vault, b"hello", sent)), vault,
                                        b"hello")
                wanted[archive] = sent if meant is None else meant
            report.refused("5.11 description: 1025 bytes", cas.do(cas.archive(vault, b"hello", "d" * 1025)), 400,
                           BAD_VALUE)
            job = self.start_job("an inventory of descriptions", vault, {"Type": "inventory-retrieval"})
            self.finish("an inventory of descriptions", vault, job)
            value = report.object("5.22 the inventory", cas.do(cas.output(vault, job)), INVENTORY)
            report.same("5.22 tells each description",
                        {item["ArchiveId"]: item["ArchiveDescription"] for item in value["ArchiveList"]}, wanted)

    def multipart(self):
        cas, report = self.cas, self.report
        with self.fresh_vault() as vault:
            data = pattern(3 * MIB + 12345)
            parts = [(start, data[start:start + MIB]) for start in range(0, len(data), MIB)]
            answer = cas.do(
                cas.vault("POST", vault, "/multipart-uploads",
                          headers=(("x-cas-part-size", str(MIB)), ("x-cas-archive-description", "in parts"))))
            report.empty("5.13 an upload begins", answer, 201, ("Location", "x-cas-multipart-upload-id"))
            upload = answer.header("x-cas-multipart-upload-id")
            self.open.append(upload)
            report.same("5.13 Location", answer.header("location"),
                        f"/{cas.app_id}/vaults/{vault}/multipart-uploads/{upload}")
            report.that("1.4 the shape of an upload ID", ID64.fullmatch(upload), upload)
            listing = cas.vault("GET", vault, f"/multipart-uploads/{upload}")
            value = report.object("5.17 no parts yet", cas.do(listing), PART_LIST)
            report.same("5.17 but all facts", (value["ArchiveDescription"], value["Marker"], value["MultipartUploadId"],
                                               value["PartSizeInBytes"], value["Parts"]),
                        ("in parts", None, upload, MIB, []))
            self.qcs_ends("an upload", value["VaultQCS"], vault)
            self._sent("5.14 the last part first", cas.part(vault, upload, *parts[3]))
            self._sent("5.14 a part that is wrong", cas.part(vault, upload, MIB, b"z" * MIB))
            self._sent("5.14 the first part, the total told",
                       cas.part(vault, upload, *parts[0], "bytes {}-{}/" + str(len(data))))
            report.refused("5.15 with a hole", cas.do(cas.complete(vault, upload, len(data), tree_hash(data))), 400,
                           BAD_VALUE)
            self._sent("5.14 the part again, right", cas.part(vault, upload, *parts[1]))
            self._sent("5.14 a part without /*", cas.part(vault, upload, *parts[2], "bytes {}-{}"))
            report.refused("5.15 another size",
                           cas.do(cas.complete(vault, upload, len(data) - 1, tree_hash(data))), 400, BAD_VALUE)
            report.refused("5.15 another hash",
                           cas.do(cas.complete(vault, upload, len(data), tree_hash(data[:-1]))), 400, BAD_VALUE)
            value = report.object("5.17 the upload is still there", cas.do(listing), PART_LIST)
            report.same("5.17 its parts by offset", value["Parts"],
                        [{"RangeInBytes": f"{start}-{start + len(part) - 1}", "SHA256TreeHash": tree_hash(part)}
                         for start, part in parts])
            answer = report.empty("5.15 complete", cas.do(cas.complete(vault, upload, len(data), tree_hash(data))), 201,
                                  ("Location", "x-cas-archive-id"))
            archive = self.keep(answer)
            self.open.remove(upload)
            report.same("5.15 Location", answer.header("location"), f"/{cas.app_id}/vaults/{vault}/archives/{archive}")
            report.refused("5.15 then the upload is gone", cas.do(listing), 404, NOT_FOUND)
            report.refused("5.16 and cannot be aborted",
                           cas.do(cas.vault("DELETE", vault, f"/multipart-uploads/{upload}")), 404, NOT_FOUND)
            report.refused("5.14 nor take a part", cas.do(cas.part(vault, upload, *parts[0])), 404, NOT_FOUND)
            report.refused("5.15 nor be completed", cas.do(cas.complete(vault, upload, len(data), tree_hash(data))),
                           404, NOT_FOUND)
            self.whole("an archive made of parts", vault, archive, data)
            upload = self.start_upload(vault, 16 * MIB)
            self._sent("5.14 an archive smaller than a part", cas.part(vault, upload, 0, b"hello"))
            self.keep(report.empty("5.15 is complete", cas.do(cas.complete(vault, upload, 5, sha256(b"hello"))), 201))
            self.open.remove(upload)

    def _sent(self, name, request):
        answer = self.report.empty(name, self.cas.do(request), 204)
        self.report.same(f"{name}: its tree hash", answer.header("x-cas-sha256-tree-hash"), tree_hash(request.body))

    def multipart_refusals(self):
        cas, report = self.cas, self.report
        with self.fresh_vault() as vault:
            begin = lambda headers: cas.do(cas.vault("POST", vault, "/multipart-uploads", headers=headers))
            for size in ("0", "1048577", str(3 * MIB), str(48 * MIB), "524288", str(8 << 30), "big"):
                report.refused(f"5.13 a part size of {size}", begin((("x-cas-part-size", size),)), 400, BAD_VALUE)
            report.refused("5.13 no part size", begin(()), 400, MISSING)
            report.refused("5.13 a description of 1025 bytes",
                           begin((("x-cas-part-size", str(MIB)), ("x-cas-archive-description", "d" * 1025))), 400,
                           BAD_VALUE)
            upload = self.start_upload(vault)
            part = cas.part(vault, upload, 0, b"hello")
            ranged = lambda text: replace(part, headers=(("Content-Range", text),) + part.headers[1:])
            report.refused("5.14 off the grid", cas.do(cas.part(vault, upload, 5, b"hello")), 400, BAD_VALUE)
            report.refused("5.14 longer than a part", cas.do(cas.part(vault, upload, 0, b"x" * (MIB + 1))), 400,
                           BAD_VALUE)
            report.refused("5.14 a range longer than the body", cas.do(ranged("bytes 0-5/*")), 400, BAD_VALUE)
            report.refused("5.14 a range shorter than the body", cas.do(ranged("bytes 0-3/*")), 400, BAD_VALUE)
            report.refused("5.14 a range backwards", cas.do(ranged("bytes 4-0/*")), 400, BAD_VALUE)
            report.refused("5.14 no range at all", cas.do(replace(part, headers=part.headers[1:])), 400, MISSING)
            report.refused("5.14 part number 10000", cas.do(cas.part(vault, upload, 10000 * MIB, b"hello")), 400,
                           BAD_VALUE)
            report.empty("5.14 part number 9999", cas.do(cas.part(vault, upload, 9999 * MIB, b"hello")), 204)
            wrong = cas.part(vault, upload, 0, b"other").headers
            report.refused("5.14 another content hash",
                           cas.do(replace(part, headers=(part.headers[0], wrong[1], part.headers[2]))), 400, BAD_VALUE)
            report.refused("5.14 another tree hash",
                           cas.do(replace(part, headers=(part.headers[0], part.headers[1], wrong[2]))), 400, BAD_VALUE)
            report.refused("5.14 an upload nobody began", cas.do(cas.part(vault, "-" + "A" * 63, 0, b"hello")), 404,
                           NOT_FOUND)
            report.refused("5.2 a vault with an upload stays", cas.do(cas.vault("DELETE", vault)), 400, "BadRequest")
            report.empty("5.16 aborted", cas.do(cas.vault("DELETE", vault, f"/multipart-uploads/{upload}")), 204)
            report.refused("5.16 aborted again", cas.do(cas.vault("DELETE", vault, f"/multipart-uploads/{upload}")),
                           404, NOT_FOUND)
            upload = self.start_upload(vault)
            data = b"a" * 5 + pattern(MIB)
            cas.do(cas.part(vault, upload, 0, data[:5]))
            cas.do(cas.part(vault, upload, MIB, data[5:]))
            report.refused("5.15 a short part in the middle",
                           cas.do(cas.complete(vault, upload, len(data), tree_hash(data))), 400, BAD_VALUE)
            complete = cas.complete(vault, upload, 5, sha256(b"aaaaa"))
            report.refused("5.15 no size", cas.do(replace(complete, headers=complete.headers[1:])), 400, MISSING)
            report.refused("5.15 no tree hash", cas.do(replace(complete, headers=complete.headers[:1])), 400, MISSING)
            report.empty("5.16 an upload with parts is aborted",
                         cas.do(cas.vault("DELETE", vault, f"/multipart-uploads/{upload}")), 204)
            self.open.clear()

    def multipart_listing(self):
        cas, report = self.cas, self.report
        with self.fresh_vault() as vault:
            listing = lambda query=(), slash="": cas.vault("GET", vault, f"/multipart-uploads{slash}", query)
            report.same("5.18 no uploads", report.object("5.18 an empty list", cas.do(listing()), UPLOAD_LIST),
                        {"Marker": None, "UploadsList": []})
            uploads = [self.start_upload(vault, MIB << n, text) for n, text in enumerate((None, "两", "three"))]
            found = self.pages("5.18 uploads", listing, UPLOAD_LIST, "UploadsList", UPLOAD, limit=1)
            report.same("5.18 every upload once", sorted(item["MultipartUploadId"] for item in found), sorted(uploads))
            dates = [item["CreationDate"] for item in found]
            report.that("5.18 oldest first", dates == sorted(dates), dates)
            facts = {item["MultipartUploadId"]: (item["ArchiveDescription"], item["PartSizeInBytes"]) for item in found}
            report.same("5.18 with size and description (rule 12)", [facts.get(u) for u in uploads],
                        [("", MIB), ("两", 2 * MIB), ("three", 4 * MIB)])
            report.object("5.18 with a slash at the end", cas.do(listing(slash="/")), UPLOAD_LIST)
            for start in (3 * MIB, 0, 2 * MIB):
                cas.do(cas.part(vault, uploads[0], start, pattern(MIB)))
            parts = lambda query: cas.vault("GET", vault, f"/multipart-uploads/{uploads[0]}", query)
            found = self.pages("5.17 parts", parts, PART_LIST, "Parts", PART, limit=1)
            report.same("5.17 by offset", [item["RangeInBytes"] for item in found],
                        [f"{s}-{s + MIB - 1}" for s in (0, 2 * MIB, 3 * MIB)])
            value = report.object("5.17 from an offset", cas.do(parts((("marker", str(2 * MIB)),))), PART_LIST)
            report.same("5.17 starts there", [item["RangeInBytes"].split("-")[0] for item in value["Parts"]],
                        [str(2 * MIB), str(3 * MIB)])
            report.refused("5.17 an upload nobody began",
                           cas.do(cas.vault("GET", vault, f"/multipart-uploads/{'A' * 64}")), 404, NOT_FOUND)
