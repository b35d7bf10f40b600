"""The vectors of docs/protocol.md §3.6 and §4.2: whether this client can sign and hash at all."""

import hashlib

from wire import MIB, authorization, format_string, pattern, sha256, signing_key, string_to_sign, tree_hash


def self_test(report):
    secret_id, secret, key_time, host = ("example-secret-id", "CasExampleSecretKey0123456789abcd",
                                         "1480932292;1481012292", "cas.ap-chengdu.myqcloud.com")
    hello, a_mib = sha256(b"hello"), b"a" * MIB
    report.same("3.6 signing key", signing_key(secret, key_time), "9004db549e0b9b7dcda8daf7865712f24cfb2a5c")
    report.same("3.6 signing key, sha256", signing_key(secret, key_time, "sha256"),
                "3f96183c0a0ea50cb9a9b65ffb1562496a0796c4de663ed993db961236241965")

    def vector(name, method, path, params, headers, digest, signature, reading="A", equals=True, sign_time=key_time,
               algorithm="sha1"):
        text = format_string(method, path, params, headers, reading, equals)
        report.same(f"3.6 {name}: digest of the format string",
                    hashlib.new(algorithm, text.encode()).hexdigest(), digest)
        header_list, param_list = (";".join(sorted(n.lower() for n, _ in pairs)) for pairs in (headers, params))
        token = authorization(secret_id, signing_key(secret, key_time, algorithm), sign_time, key_time, text,
                              header_list, param_list, algorithm)
        report.same(
            f"3.6 {name}: authorization", token,
            f"q-sign-algorithm={algorithm}&q-ak={secret_id}&q-sign-time={sign_time}&q-key-time={key_time}"
            f"&q-header-list={header_list}&q-url-param-list={param_list}&q-signature={signature}")
        return text

    only_host = (("Host", host),)
    text = vector("A", "GET", "/-/vaults", (), only_host, "cc7ffeb09f0e2b0f54d8df1b1454c7e7cc19d968",
                  "7de5ba52384e6e41b72270ae2ff8b0a1663ec2bf")
    report.same("3.6 A: format string", text, "get\n/-/vaults\n\nhost=cas.ap-chengdu.myqcloud.com\n")
    report.same("3.6 A: string to sign", string_to_sign("sha1", key_time, text),
                "sha1\n1480932292;1481012292\ncc7ffeb09f0e2b0f54d8df1b1454c7e7cc19d968\n")

    params = (("statuscode", "InProgress"), ("limit", "10"), ("marker", "文件库 A+b~!*'()/"))
    jobs = "/1250000000/vaults/My.Vault-1/jobs"
    for reading, line, digest, signature in (
        ("A", "limit=10&marker=%E6%96%87%E4%BB%B6%E5%BA%93%20a%2Bb~%21%2A%27%28%29%2F&statuscode=inprogress",
         "be3c79706868d588d91a7a7c715d840b8ba2246a", "055060e1496a9e2a5cfbfadf7e1de183210b2631"),
        ("B", "limit=10&marker=%e6%96%87%e4%bb%b6%e5%ba%93%20a%2bb~%21%2a%27%28%29%2f&statuscode=inprogress",
         "0147c6b9c08c39e8fa3ec40460032b2841aa99c6", "6eff0d065e5b02a4f8388bf00daa3a736a8fa287"),
        ("C", "limit=10&marker=%E6%96%87%E4%BB%B6%E5%BA%93%20A%2Bb~%21%2A%27%28%29%2F&statuscode=InProgress",
         "b4096a1f6fce601b4068293c946cd3b1cd95017d", "557fe88377edb29ac86fba527114a0de6cc63a2d")):
        text = vector(f"B, reading {reading}", "GET", jobs, params, only_host, digest, signature, reading=reading)
        report.same(f"3.6 B, reading {reading}: parameter line", text.split("\n")[2], line)

    upload = "/1250000000/vaults/My.Vault-1/multipart-uploads/1A1S1RrfNxVuIYCcnL21OyqZLB7cTJVL8WHC8pjQYLP6CNqOXLK3tMmI3v792ji3"
    hashes = (("x-cas-content-sha256", sha256(a_mib)), ("x-cas-sha256-tree-hash", tree_hash(a_mib)))
    part = (("Host", host), ("Content-Length", "1048576")) + hashes
    vector("C1", "PUT", upload, (), part, "e9ccba33cfd8d31e4295360870bdb2b28c804f5d",
           "0c59798b5ccbd13785968f1b7c37c1fe7774f050", sign_time="1480932300;1480933500")
    vector("C2", "PUT", upload, (), part + (("Content-Range", "bytes 0-1048575/*"),),
           "edc54af36ca055edd37fd1e4242cc02db1d239de", "9538e0152fdee8f4413061f37ac4e765eb87d31f",
           sign_time="1480932300;1480933500")
    vector("D, sha256", "GET", "/-/vaults", (), only_host,
           "dfdf2566dfcb4b0687a4d83e114f3cf8eab1e7a2a3432573d90c142141510efe",
           "12e3a28b870d840062f71479b8bf701646d080fe2c1fd938df70c2513e4c985e", algorithm="sha256")
    vector("E, nothing signed", "GET", "/-/vaults", (), (), "29d40a379b39e3bbb081727cf28f2058781a733a",
           "6a2272e1650e659a07ed4705ae5d7215f454c677")
    described = (("Host", host), ("Content-Length", "5"), ("x-cas-archive-description", "报告 2024/Q1~a+b"),
                 ("x-cas-content-sha256", hello), ("x-cas-sha256-tree-hash", hello))
    vector("F", "POST", "/-/vaults/My.Vault-1/archives", (), described, "e806777af10668f0e1eca72f2ed254232c19e402",
           "1ff1348114261d7e70fc84844aef738a0b03856c")
    empty = (("limit", "5"), ("marker", ""))
    vector("G, marker=", "GET", "/-/vaults", empty, only_host, "2cf220f07a3b42737694d6cf35d48c8fd884c082",
           "53a95cd0b9406671815f57e10a2d686af209f038")
    vector("G, marker", "GET", "/-/vaults", empty, only_host, "9779699058e2f0e25df10836008c08024fafc128",
           "5a50274588566efd5bc6c082afc5ae2cea291114", equals=False)

    report.same("4.1 up to 1 MiB the tree hash is the plain hash", tree_hash(b"hello"), hello)
    for size, digest in ((1, "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"),
                         (1048576, "1c15b634397059fc8b634d6723502f0e5433e6c9f8d60e40d9128451a9f80c0f"),
                         (1048577, "60e199aa3410df2e7b119111c0a217665a19ffda7653c67ec39c64b2f2ffa9c2"),
                         (5242887, "602eb840c72458d7e464234b9b59c341a4b8a0037686334ae80eb1ff0e5a127a"),
                         (6815744, "f444c8acf99f44ebb8dd5b7a3ea3aba603b79ab90071611ee2e89ec1970f4a25")):
        report.same(f"4.2 tree hash of P({size})", tree_hash(pattern(size)), digest)
    report.same("4.2 tree hash of a slice", tree_hash(pattern(6815744)[4194304:6291456]),
                "a83b66c19f7ef84ef0cbed9d9ea028134e7e36aa69f5b4c5abd2937f13fc9c49")
