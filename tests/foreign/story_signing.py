"""Who may speak: docs/protocol.md §3, with the tolerances of §2.4 that concern it."""

import time
from dataclasses import replace

from answers import VAULT_LIST
from story import Story
from wire import NOTHING, Signing


class Signatures(Story):

    def signatures(self):
        cas, report = self.cas, self.report
        listing = cas.vaults(uid="-")
        accepted = lambda name, answer: report.object(f"3 accepted: {name}", answer, VAULT_LIST)
        accepted("host signed", cas.do(listing))
        accepted("nothing signed", cas.do(listing, NOTHING))
        accepted("the account by its number", cas.do(cas.vaults()))
        accepted("sign time inside the key time", cas.do(listing, Signing(key_start=-3000, key_end=80000)))
        accepted("a window that starts a minute from now (3.4)", cas.do(listing, Signing(start=60)))
        accepted("lists in another order than sorted",
                 cas.do(cas.vaults(query=(("limit", "5"), ("marker", "a"))), Signing(reverse_lists=True)))
        accepted("Host without the port, signed so (rule 2)", cas.do(listing, host=cas.host))
        accepted("Host with the port, signed without (rule 2)", cas.do(listing, signed_host=cas.host))
        accepted("Host without the port, signed with it (rule 2)",
                 cas.do(listing, host=cas.host, signed_host=cas.host_port))
        accepted("Host of the cloud, signed so (rule 2)", cas.do(listing, host=cas.cloud_host))
        accepted("absolute form (rule 3)", cas.do(listing, target=f"http://{cas.cloud_host}{listing.target()}"))
        accepted("absolute form with the endpoint (rule 3)",
                 cas.do(listing, target=f"{cas.endpoint.rstrip('/')}{listing.target()}"))
        accepted("an RFC 1123 Date",
                 cas.do(listing, extra=(("Date", time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime())),)))
        accepted("an ISO Date (rule 5)", cas.do(listing, extra=(("Date", "2017-08-29T08:29:41Z"),)))
        accepted("a Content-Type that makes no sense (rule 5)", cas.do(listing, extra=(("content-type", "false"),)))

    def tampering(self):
        cas, report = self.cas, self.report
        listing = cas.vaults(query=(("limit", "5"),))

        def refused(name, answer, status=400, code="InvalidSignatureException"):
            report.refused(f"3.9 refused: {name}", answer, status, code)

        refused("no Authorization", cas.do(listing, token=""), code="MissingAuthenticationTokenException")
        refused("an Authorization of another kind", cas.do(listing, token="Basic dXNlcjpwYXNz"))
        refused("a token without signature", cas.do(listing, token=cas.token(listing, (), NOTHING).rsplit("&", 1)[0]))
        refused("an unknown algorithm", cas.do(listing, Signing(algorithm="md5")))
        refused("an unknown secret ID", cas.do(listing, Signing(secret_id="nobody-that-is-known")),
                code="UnrecognizedClientException")
        refused("another secret key", cas.do(listing, Signing(secret_key="not-the-key")))
        refused("a window that is over", cas.do(listing, Signing(start=-4000, end=-1000)))
        refused("a window that begins in an hour", cas.do(listing, Signing(start=3600, end=7200)))
        refused("a key time that is over", cas.do(listing, Signing(key_start=-4000, key_end=-1000)))
        refused("a window that ends before it starts", cas.do(listing, Signing(start=30, end=10)))
        refused("another method than signed", cas.do(cas.vault("DELETE", "a"), signed_as=cas.vault("GET", "a")))
        refused("another path than signed", cas.do(cas.vault("GET", "a"), signed_as=cas.vault("GET", "b")))
        refused("a path in another case than signed",
                cas.do(cas.vault("GET", "Abc"), signed_as=cas.vault("GET", "abc")))
        refused("another parameter than signed", cas.do(listing, signed_as=replace(listing, query=(("limit", "6"),))))
        refused("a listed parameter that is not there", cas.do(cas.vaults(), signed_as=listing))
        refused("another host than signed", cas.do(listing, signed_host="example.com"))
        refused("another header than signed", cas.do(cas.archive("a", b"one"), signed_as=cas.archive("a", b"two")))
        refused("a listed header that is not there",
                cas.do(cas.archive("a", b"one"), signed_as=cas.archive("a", b"one", "text")))
        token = cas.token(listing, (("Host", cas.host_port),), Signing())
        refused("one changed digit", cas.do(listing, token=token[:-1] + ("0" if token[-1] != "0" else "1")))
        refused("another account in the path (1.3)", cas.do(cas.vaults(uid="9" + cas.app_id)), 403,
                "AccessDeniedException")

    def temporary(self):
        """A key pair that needs its token, §3.4, when one is given."""
        if not self.options.temporary:
            return
        secret_id, secret_key, token = self.options.temporary.split(":", 2)
        listing, pair = self.cas.vaults(uid="-"), Signing(secret_id=secret_id, secret_key=secret_key)
        ask = lambda *headers: self.cas.do(listing, pair, extra=headers)
        self.report.object("3.4 accepted: a temporary key pair with its token",
                           ask(("x-cas-security-token", token)), VAULT_LIST)
        refused = lambda name, answer: self.report.refused(f"3.4 refused: {name}", answer, 400,
                                                           "UnrecognizedClientException")
        refused("a temporary key pair without its token", ask())
        refused("a temporary key pair with another token", ask(("x-cas-security-token", token + "x")))
        refused("a token with a key pair that has none",
                self.cas.do(listing, extra=(("x-cas-security-token", token),)))

    def parameters(self):
        cas, report = self.cas, self.report
        accepted = lambda name, answer: report.object(f"3.2 accepted: {name}", answer, VAULT_LIST)
        telling = cas.vaults(query=(("limit", "3"), ("marker", "文件库 A+b~!*'()/")))
        for reading in "ABC":
            accepted(f"reading {reading}", cas.do(telling, Signing(reading=reading)))
        accepted("parameters sent and not signed", cas.do(telling, Signing(params=False)))
        accepted("parameters sent in another order",
                 cas.do(telling, target=cas.vaults(query=telling.query[::-1]).target()))
        empty = cas.vaults(query=(("limit", "3"), ("marker", "")))
        bare = f"{empty.path}?marker&limit=3"
        accepted("marker= in both", cas.do(empty))
        accepted("marker= sent, marker signed", cas.do(empty, Signing(equals=False)))
        accepted("marker sent, marker= signed", cas.do(empty, target=bare))
        accepted("marker in both (rule 6)", cas.do(empty, Signing(equals=False), target=bare))
