"""What answers look like, from docs/protocol.md §2.2, §5 and §6, and the report of what they looked like."""

import re

ID64 = re.compile(r"[A-Za-z0-9_-]{64}")
ID128 = re.compile(r"[A-Za-z0-9_-]{128}")
HEX64 = re.compile(r"[0-9a-f]{64}")
DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")

is_text = lambda v: isinstance(v, str)
is_flag = lambda v: isinstance(v, bool)
is_count = lambda v: isinstance(v, int) and not isinstance(v, bool) and v >= 0
is_list = lambda v: isinstance(v, list)
is_object = lambda v: isinstance(v, dict)
is_null = lambda v: v is None
like = lambda pattern: lambda v: isinstance(v, str) and pattern.fullmatch(v) is not None
either = lambda *tests: lambda v: any(test(v) for test in tests)
nullable = lambda test: either(is_null, test)

VAULT = {
    "CreationDate": like(DATE), "LastInventoryDate": nullable(like(DATE)), "NumberOfArchives": nullable(is_count),
    "SizeInBytes": nullable(is_count), "VaultName": is_text, "VaultQCS": is_text
}
VAULT_LIST = {"Marker": nullable(is_text), "VaultList": is_list}
UPLOAD = {
    "ArchiveDescription": is_text, "CreationDate": like(DATE), "MultipartUploadId": like(ID64),
    "PartSizeInBytes": is_count, "VaultQCS": is_text
}
UPLOAD_LIST = {"Marker": nullable(is_text), "UploadsList": is_list}
PART_LIST = {**UPLOAD, "Marker": nullable(is_text), "Parts": is_list}
PART = {"RangeInBytes": like(re.compile(r"\d+-\d+")), "SHA256TreeHash": like(HEX64)}
JOB = {
    "Action": is_text, "ArchiveDescription": nullable(is_text), "ArchiveId": nullable(like(ID128)),
    "ArchiveSHA256TreeHash": nullable(like(HEX64)), "ArchiveSizeInBytes": nullable(is_count),
    "Bucket": nullable(is_text), "CallBackUrl": is_text, "Completed": is_flag, "CompletionDate": nullable(like(DATE)),
    "Condition": nullable(is_object), "CreationDate": like(DATE), "InventoryRetrievalParameters": nullable(is_object),
    "InventorySizeInBytes": is_count, "JobCallBackUrl": is_text, "JobDescription": is_text, "JobId": like(ID64),
    "Object": nullable(is_text), "Range": nullable(is_text),
    "RetrievalByteRange": nullable(like(re.compile(r"\d+-\d+"))), "SHA256TreeHash": nullable(like(HEX64)),
    "StatusCode": lambda v: v in ("InProgress", "Succeeded", "Failed"), "StatusMessage": is_text,
    "Tier": nullable(lambda v: v in ("Expedited", "Standard", "Bulk")), "VaultQCS": is_text
}
JOB_LIST = {"JobList": is_list, "Marker": nullable(is_text)}
INVENTORY_PARAMETERS = {
    "EndDate": nullable(is_text), "Format": lambda v: v in ("JSON", "CSV"), "Limit": is_count,
    "Marker": nullable(is_text), "StartDate": nullable(is_text)
}
INVENTORY = {"ArchiveList": is_list, "InventoryDate": like(DATE), "VaultQCS": is_text}
INVENTORY_ITEM = {
    "ArchiveDescription": is_text, "ArchiveId": like(ID128), "CreationDate": like(DATE), "SHA256TreeHash": like(HEX64),
    "Size": is_count
}
ERROR = {"code": is_text, "message": is_text, "type": lambda v: v in ("Client", "Server")}
NOT_FOUND, BAD_VALUE, MISSING = ("ResourceNotFoundException", "InvalidParameterValueException",
                                 "MissingParameterValueException")


def mismatches(value, schema):
    """What keeps `value` from being an object of exactly these keys with such values."""
    if not isinstance(value, dict):
        return [f"not an object: {value!r}"]
    problems = [f"{key} is missing" for key in schema if key not in value]
    problems += [f"{key} is not expected" for key in value if key not in schema]
    return problems + [
        f"{key} is {value[key]!r}" for key, test in schema.items() if key in value and not test(value[key])
    ]


def shape(answer, *statuses):
    """What every answer must obey: §2.2 and rules 7 and 8 of §2.4."""
    problems = list(answer.problems)
    if answer.status not in statuses:
        code = (answer.json() or {}).get("code") if isinstance(answer.json(), dict) else None
        problems.append(f"status {answer.status}{' ' + code if code else ''}, not {' or '.join(map(str, statuses))}")
    request_id = answer.header("x-cas-requestId")
    if not request_id:
        problems.append("no x-cas-requestId")
    elif not re.fullmatch(r"\S{36}==", request_id):
        problems.append(f"x-cas-requestId is {request_id!r}")
    kind = answer.header("content-type")
    if not answer.body and kind is not None:
        problems.append(f"Content-Type {kind} on an empty body")
    if answer.body and kind not in ("application/json", "application/octet-stream", "text/csv"):
        problems.append(f"Content-Type {kind}")
    if answer.body and kind == "application/json" and answer.status != 206 and answer.json() is None:
        problems.append("the body is no JSON")
    return problems


class Report:
    def __init__(self):
        self.passed = self.failed = 0

    def line(self, name, problems):
        if problems:
            self.failed += 1
            print(f"FAIL  {name}: {'; '.join(problems)}", flush=True)
        else:
            self.passed += 1
            print(f"ok    {name}", flush=True)
        return not problems

    def that(self, name, holds, found=None):
        return self.line(name, [] if holds else [f"found {found!r}" if found is not None else "it does not hold"])

    def same(self, name, found, wanted):
        return self.line(name, [] if found == wanted else [f"found {found!r}, wanted {wanted!r}"])

    def empty(self, name, answer, status, headers=()):
        """An answer without body, with these headers."""
        problems = shape(answer, status)
        if answer.body:
            problems.append("there is a body")
        problems += [f"no {n}" for n in headers if not answer.header(n)]
        self.line(name, problems)
        return answer

    def bytes(self, name, answer, status, data):
        """An answer whose body is exactly these bytes."""
        problems = shape(answer, status)
        if answer.body != data:
            problems.append(f"{len(answer.body)} other bytes, wanted {len(data)}")
        self.line(name, problems)
        return answer

    def object(self, name, answer, schema, status=200):
        """An answer whose body is JSON of this shape. Gives the object, or one without anything in it."""
        problems = shape(answer, status)
        if not problems and answer.header("content-type") != "application/json":
            problems.append(f"Content-Type {answer.header('content-type')}")
        value = answer.json()
        if not problems:
            problems = mismatches(value, schema)
        self.line(name, problems)
        return value if isinstance(value, dict) else {}

    def refused(self, name, answer, status, code):
        """An error of §6.1. `code` may be None where no document and no decision names one."""
        problems = shape(answer, *(status if isinstance(status, tuple) else (status,)))
        if answer.header("content-type") != "application/json":
            problems.append(f"Content-Type {answer.header('content-type')}")
        problems += mismatches(answer.json(), ERROR)
        if not problems:
            value = answer.json()
            if code and value["code"] != code:
                problems.append(f"code {value['code']}, not {code}")
            if value["type"] != ("Server" if answer.status >= 500 else "Client"):
                problems.append(f"type {value['type']}")
        self.line(name, problems)
        return answer
