"""Vaults, access policies and notifications: docs/protocol.md §5.1 to §5.10."""

import json

from answers import BAD_VALUE, MISSING, NOT_FOUND, VAULT, VAULT_LIST, is_list, is_text
from story import Story


class Vaults(Story):

    def vaults(self):
        cas, report = self.cas, self.report
        vault = self.name()
        answer = report.empty("5.1 a vault is created", cas.do(cas.vault("PUT", vault)), 201, ("Location",))
        report.same("5.1 Location", answer.header("location"), f"/{cas.app_id}/vaults/{vault}")
        answer = report.empty("5.1 and created again, by the dash", cas.do(cas.vault("PUT", vault, uid="-")), 201,
                              ("Location",))
        report.same("5.1 Location has the number", answer.header("location"), f"/{cas.app_id}/vaults/{vault}")
        value = report.object("5.3 it is described", cas.do(cas.vault("GET", vault)), VAULT)
        report.same("5.3 by its name", value.get("VaultName"), vault)
        self.qcs_ends("a vault", value.get("VaultQCS"), vault)
        same = report.object("5.3 and by the dash", cas.do(cas.vault("GET", vault, uid="-")), VAULT)
        report.same("5.3 the same vault", same, value)
        report.empty("5.2 it is deleted", cas.do(cas.vault("DELETE", vault)), 204)
        report.refused("5.3 then it is gone", cas.do(cas.vault("GET", vault)), 404, NOT_FOUND)
        report.refused("5.2 and cannot be deleted again", cas.do(cas.vault("DELETE", vault)), 404, NOT_FOUND)
        longest = (self.name() + "x" * 255)[:255]
        report.empty("1.4 a name of 255 characters", cas.do(cas.vault("PUT", longest)), 201)
        report.empty("1.4 which is deleted", cas.do(cas.vault("DELETE", longest)), 204)
        report.refused("1.4 a name of 256 characters", cas.do(cas.vault("PUT", longest + "x")), 400, BAD_VALUE)
        report.refused("1.4 a name with a tilde", cas.do(cas.vault("PUT", "no~name")), 400, BAD_VALUE)

    def vault_listing(self):
        cas, report = self.cas, self.report
        ours = sorted(self.name() for _ in range(3))
        for vault in reversed(ours):
            cas.do(cas.vault("PUT", vault))
        try:
            found = self.pages("5.4 vaults", lambda query: cas.vaults(query=query), VAULT_LIST, "VaultList", VAULT,
                               limit=2)
            names = [item["VaultName"] for item in found]
            report.same("5.4 our vaults are in the pages", [n for n in names if n in ours], ours)
            keys = [item["VaultQCS"] for item in found]
            report.that("5.4 in dictionary order of QCS, each once", keys == sorted(set(keys)), keys)
            after = report.object("5.4 a QCS is a marker",
                                  cas.do(cas.vaults(query=(("marker", [k for k in keys if k.endswith(ours[1])][0]),))),
                                  VAULT_LIST)
            report.same("5.4 from which the list starts", after["VaultList"][0]["VaultName"], ours[1])
            for limit in ("0", "1001", "ten"):
                report.refused(f"5.4 limit {limit}", cas.do(cas.vaults(query=(("limit", limit),))), 400, BAD_VALUE)
        finally:
            for vault in ours:
                cas.do(cas.vault("DELETE", vault))

    def policies(self):
        cas, report = self.cas, self.report
        with self.fresh_vault() as vault:
            policy = lambda method, body=None, uid=None: cas.do(
                cas.vault(method, vault, "/access-policy", body=body, uid=uid))
            document = {
                "version": "2.0", "statement": [{
                    "effect": "allow", "principal": {"qcs": ["qcs::cam::uin/100000000001:uin/100000000011"]},
                    "action": ["name/cas:DescribeVault"],
                    "resource": [f"qcs::cas:ap-chengdu:uid/{cas.app_id}:vaults/{vault}"],
                    "condition": {"ip_equal": {"qcs:ip": ["10.121.2.0/24"]}}
                }]
            }
            report.refused("5.6 no policy yet", policy("GET"), 404, NOT_FOUND)
            for key in ("policy", "Policy"):
                document["statement"][0]["action"].append("name/cas:" + key)
                report.empty(f"5.5 set by {key}", policy("PUT", json.dumps({key: json.dumps(document)}).encode()), 204)
                value = report.object("5.6 got back as a string (rule 13)", policy("GET", uid="-"), {"policy": is_text})
                report.same("5.6 and the same document", json.loads(value["policy"]), document)
            report.refused("5.5 no JSON", policy("PUT", b"{policy"), 400, "SerializationException")
            report.refused("5.5 no policy in it", policy("PUT", b"{}"), 400, MISSING)
            report.refused("5.5 a string that is no document", policy("PUT", b'{"policy":"allow"}'), 400, BAD_VALUE)
            report.refused("5.5 a document of another version",
                           policy("PUT",
                                  json.dumps({"policy": '{"version":"1.0","statement":[]}'}).encode()), 400, BAD_VALUE)
            report.object("5.6 the one before stands", policy("GET"), {"policy": is_text})
            report.empty("5.7 deleted", policy("DELETE"), 204)
            report.empty("5.7 deleted again", policy("DELETE"), 204)
            report.refused("5.6 then it is gone", policy("GET"), 404, NOT_FOUND)
        report.refused("5.6 nor has a missing vault one", cas.do(cas.vault("GET", self.name(), "/access-policy")), 404,
                       NOT_FOUND)

    def notifications(self):
        cas, report = self.cas, self.report
        with self.fresh_vault() as vault:
            ask = lambda method, body=None: cas.do(cas.vault(method, vault, "/notification-configuration", body=body))
            put = lambda value: ask("PUT", json.dumps(value).encode())
            schema = {"CallBackUrl": is_text, "Events": is_list}
            events = [
                "ArchiveRetrievalCompleted", "InventoryRetrievalCompleted", "PushToCOSCompleted", "PullFromCOSCompleted"
            ]
            url = "http://127.0.0.1:9/foreign"
            report.refused("5.9 none yet", ask("GET"), 404, NOT_FOUND)
            report.empty("5.8 all events", put({"CallBackUrl": url, "Events": events}), 204)
            report.same("5.9 come back", report.object("5.9 are read", ask("GET"), schema),
                        {"CallBackUrl": url, "Events": events})
            report.empty("5.8 Event, a string", put({"CallBackUrl": url, "Event": events[1]}), 204)
            report.same("5.9 comes back as Events", report.object("5.9 is read", ask("GET"), schema),
                        {"CallBackUrl": url, "Events": events[1:2]})
            report.empty("5.8 an event with a leading blank", put({"CallBackUrl": url, "Events": [" " + events[2]]}),
                         204)
            report.same("5.9 comes back trimmed",
                        report.object("5.9 is read too", ask("GET"), schema)["Events"], events[2:3])
            report.refused("5.8 another scheme", put({"CallBackUrl": "ftp://example.com/", "Events": events}), 400,
                           BAD_VALUE)
            report.refused("5.8 an unknown event", put({"CallBackUrl": url, "Events": ["SomethingCompleted"]}), 400,
                           BAD_VALUE)
            report.refused("5.8 no CallBackUrl", put({"Events": events}), 400, MISSING)
            report.refused("5.8 no Events", put({"CallBackUrl": url}), 400, MISSING)
            report.refused("5.8 no JSON", ask("PUT", b"CallBackUrl=x"), 400, "SerializationException")
            report.empty("5.10 deleted", ask("DELETE"), 204)
            report.empty("5.10 deleted again", ask("DELETE"), 204)
            report.refused("5.9 then it is gone", ask("GET"), 404, NOT_FOUND)
