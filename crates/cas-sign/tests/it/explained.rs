//! `explain` finds mistakes that were made by hand, and says nothing that is not so.

use cas_sign::{
    Algorithm, Credentials, Dialect, Explanation, SignableRequest, SigningOptions, Subject, Verdict, explain, presign,
};

use crate::support::{ByHand, HOST, ID, KEY, NOW, credentials, hmac, sha1, signed, times};

const PATH: &str = "/1250000000/vaults/My.Vault-1/jobs";

/// A request that has a bit of everything.
fn request() -> SignableRequest<'static> {
    SignableRequest::new("POST", PATH)
        .with_query("marker=a%20B%2F%28~%29&limit=10")
        .with_header("Host", HOST)
        .with_header("Content-Length", "12")
        .with_header("Content-Type", "application/json")
        .with_header("x-cas-archive-description", "Ünïcode + more")
}

const HEADER_LIST: &str = "content-length;content-type;host;x-cas-archive-description";
const PARAMETER_LIST: &str = "limit;marker";

/// The right format string of that request, line by line.
struct Lines {
    method: &'static str,
    path: &'static str,
    parameters: &'static str,
    headers: &'static str,
}

const RIGHT: Lines = Lines {
    method: "post",
    path: PATH,
    parameters: "limit=10&marker=a%20b%2F%28~%29",
    headers: "content-length=12&content-type=application%2Fjson&host=cas.ap-chengdu.myqcloud.com\
              &x-cas-archive-description=%C3%9Cn%C3%AFcode%20%2B%20more",
};

impl Lines {
    fn text(&self) -> String {
        format!("{}\n{}\n{}\n{}\n", self.method, self.path, self.parameters, self.headers)
    }
}

fn explained(authorization: &str) -> Explanation {
    explain(&request(), authorization, &credentials(), &Dialect::CAS, Some(NOW))
}

fn causes(authorization: &str) -> Vec<String> {
    explained(authorization).causes.iter().map(ToString::to_string).collect()
}

fn causes_of_text(format_string: &str) -> Vec<String> {
    causes(&ByHand::new(format_string, HEADER_LIST, PARAMETER_LIST).authorization())
}

#[test]
fn the_right_signature_is_good_and_has_no_remarks() {
    let explanation = explained(&ByHand::new(&RIGHT.text(), HEADER_LIST, PARAMETER_LIST).authorization());
    assert!(explanation.is_good());
    assert_eq!((explanation.causes.len(), explanation.remarks.len()), (0, 0), "{explanation}");
    assert_eq!(explanation.format_string, RIGHT.text());
}

#[test]
fn a_mistake_in_one_line_is_found() {
    let cases = [
        (Lines { method: "put", ..RIGHT }, "method: was signed as PUT, the request is a POST"),
        (Lines { method: "POST", ..RIGHT }, "method: was signed in upper case"),
        (Lines { path: "/1250000000/vaults/my.vault-1/jobs", ..RIGHT }, "path: was signed in lower case"),
        (Lines { path: "/1250000000/vaults/My.Vault-1/jobs/", ..RIGHT }, "path: was signed with a slash at the end"),
        (
            Lines { path: "1250000000/vaults/My.Vault-1/jobs", ..RIGHT },
            "path: was signed without the slash at the beginning",
        ),
        (Lines { path: "/-/vaults/My.Vault-1/jobs", ..RIGHT }, "path: was signed with `-` for the account"),
        (
            Lines { path: "%2F1250000000%2Fvaults%2FMy.Vault-1%2Fjobs", ..RIGHT },
            "path: was signed percent-encoded, slashes too",
        ),
        (
            Lines { path: "/1250000000/vaults/My.Vault-1/jobs?marker=a%20B%2F%28~%29&limit=10", ..RIGHT },
            "path: was signed with the query after it",
        ),
        (
            Lines { parameters: "marker=a%20b%2F%28~%29", ..RIGHT },
            "parameter limit: is listed, but was left out of the format string",
        ),
        (Lines { parameters: "limit=10&marker=", ..RIGHT }, "parameter marker: was signed with an empty value"),
        (
            Lines { parameters: "limit=10&marker=a%2Bb%2F%28~%29", ..RIGHT },
            "parameter marker: its space was signed as a `+`",
        ),
        (Lines { parameters: "", ..RIGHT }, "parameter *: none was signed, though some are listed"),
        (Lines { parameters: "marker=a%20b%2F%28~%29&limit=10", ..RIGHT }, "lines: parameters were not sorted"),
        (
            Lines {
                headers: "content-length=0&content-type=application%2Fjson&host=cas.ap-chengdu.myqcloud.com\
                              &x-cas-archive-description=%C3%9Cn%C3%AFcode%20%2B%20more",
                ..RIGHT
            },
            "header content-length: was signed as 0",
        ),
        (
            Lines {
                headers: "content-length=12&content-type=application%2Fjson%3B%20charset%3Dutf-8&host=cas.ap-chengdu.myqcloud.com\
                              &x-cas-archive-description=%C3%9Cn%C3%AFcode%20%2B%20more",
                ..RIGHT
            },
            "header content-type: was signed as \"application/json; charset=utf-8\"",
        ),
        (
            Lines {
                headers: "content-length=12&content-type=application%2Fjson&host=cas.ap-chengdu.myqcloud.com%3A8080\
                              &x-cas-archive-description=%C3%9Cn%C3%AFcode%20%2B%20more",
                ..RIGHT
            },
            "header host: was signed as \"cas.ap-chengdu.myqcloud.com:8080\"",
        ),
        (
            Lines {
                headers: "content-length=12&content-type=application%2Fjson&host=cas.ap-chengdu.myqcloud.com\
                              &x-cas-archive-description=%C3%83%C2%9Cn%C3%83%C2%AFcode%20%2B%20more",
                ..RIGHT
            },
            "header x-cas-archive-description: its bytes were taken for Latin-1",
        ),
        (
            Lines {
                headers: "content-length=12&content-type=application%2Fjson&host=cas.ap-chengdu.myqcloud.com",
                ..RIGHT
            },
            "header x-cas-archive-description: is listed, but was left out of the format string",
        ),
        (Lines { headers: "", ..RIGHT }, "header *: none was signed, though some are listed"),
    ];
    for (lines, cause) in cases {
        // What is wrong is in the format string: the sort of mistake does not depend on the rest.
        assert_eq!(causes_of_text(&lines.text()), [cause]);
    }
}

#[test]
fn a_mistake_in_the_encoding_is_found() {
    let text = RIGHT.text();
    let cases = [
        (text.replace("%20", "+"), "encoding: a space was encoded as `+`, not as %20"),
        (text.replace("%2F", "/"), "encoding: slashes were not encoded"),
        (text.replace("%28", "(").replace("%29", ")"), "encoding: the characters ! ' ( ) * were not encoded"),
        (text.replace('~', "%7E"), "encoding: ~ was encoded"),
        (text.replace('%', "%25").replace("%252F%2528", "%252f%2528"), "encoding: values were percent-encoded twice"),
        (
            text.replace("%2F", "%2f").replace("%2B", "%2b").replace("%C3%9C", "%c3%9c").replace("%C3%AF", "%c3%af"),
            "encoding: escapes were written with lower-case hex",
        ),
    ];
    for (text, cause) in cases {
        assert_eq!(causes_of_text(&text), [cause]);
    }
}

#[test]
fn a_mistake_in_the_later_steps_is_found() {
    let text = RIGHT.text();
    let right = ByHand::new(&text, HEADER_LIST, PARAMETER_LIST);
    let (key, string_to_sign) = (right.signing_key(), right.string_to_sign());
    let digest = sha1(&text);
    let cases = [
        (
            hmac(&hex::decode(&key).unwrap(), &string_to_sign),
            "key: the signing key was decoded from hex: its text is the key",
        ),
        (hmac(KEY.as_bytes(), &string_to_sign), "key: the secret key was used itself, not the signing key"),
        (
            hmac(ByHand { secret_key: &format!("{KEY}\n"), ..right.clone() }.signing_key().as_bytes(), &string_to_sign),
            "key: the secret key was used with a line break at its end",
        ),
        (
            hmac(key.as_bytes(), &string_to_sign.replace(&digest, &digest.to_uppercase())),
            "lines: the digest in the string to sign was written in upper case",
        ),
        (
            hmac(key.as_bytes(), &string_to_sign.replace(&digest, &sha1(text.trim_end()))),
            "lines: the last line break of the format string was left out",
        ),
    ];
    for (signature, cause) in cases {
        assert_eq!(causes(&right.with_signature(&signature)), [cause]);
    }
}

#[test]
fn times_in_each_others_place_are_found() {
    let text = RIGHT.text();
    let right = ByHand { sign_time: "1480932300;1480933500", ..ByHand::new(&text, HEADER_LIST, PARAMETER_LIST) };
    let stamped =
        hmac(right.signing_key().as_bytes(), &right.string_to_sign().replace(right.sign_time, right.key_time));
    assert_eq!(
        causes(&right.with_signature(&stamped)),
        ["time: the string to sign holds the key time, not the sign time"]
    );

    let derived = ByHand { key_time: right.sign_time, ..right.clone() };
    let derived = hmac(derived.signing_key().as_bytes(), &right.string_to_sign());
    assert_eq!(
        causes(&right.with_signature(&derived)),
        ["key: the signing key was derived for the sign time, not for the key time"]
    );
}

#[test]
fn two_mistakes_at_once_are_found() {
    let lines = Lines { method: "put", path: "/1250000000/vaults/my.vault-1/jobs", ..RIGHT };
    let both = ["path: was signed in lower case", "method: was signed as PUT, the request is a POST"];
    assert_eq!(causes_of_text(&lines.text()), both);
}

#[test]
fn what_was_signed_and_not_listed_is_found() {
    let text = RIGHT.text();
    let hidden = ByHand::new(&text, "content-length;host;x-cas-archive-description", PARAMETER_LIST).authorization();
    assert_eq!(causes(&hidden), ["header content-type: was signed, but is not listed"]);
    let hidden = ByHand::new(&text, HEADER_LIST, "limit").authorization();
    assert_eq!(causes(&hidden), ["parameter marker: was signed, but is not listed"]);
}

#[test]
fn another_key_or_another_value_stays_unexplained_and_says_so() {
    let text = RIGHT.text();
    let right = ByHand::new(&text, HEADER_LIST, PARAMETER_LIST);
    for authorization in [
        ByHand { secret_key: "another", ..right.clone() }.authorization(),
        ByHand { format_string: &text.replace("limit=10", "limit=11"), ..right.clone() }.authorization(),
    ] {
        let explanation = explained(&authorization);
        assert_eq!(explanation.verdict, Verdict::Unexplained);
        assert!(explanation.causes.is_empty());
        let shown = explanation.to_string();
        assert!(shown.contains("  |limit=10&marker=a%20b%2F%28~%29\n"), "{shown}");
        assert!(shown.contains(&format!("  |{}\n", sha1(&text))), "{shown}");
    }
}

#[test]
fn remarks_name_what_is_worth_knowing() {
    let request = SignableRequest::new("GET", "/")
        .with_query("limit=1")
        .with_header("Host", HOST)
        .with_header("Range", "bytes=0-1");
    let text = format!("get\n/\n\nhost={HOST}\n");
    let authorization = ByHand::new(&text, "date;host", "marker").authorization();
    let remarks = |credentials: &Credentials, now| {
        let explanation = explain(&request, &authorization, credentials, &Dialect::CAS, Some(now));
        assert!(matches!(explanation.verdict, Verdict::Good(_)));
        explanation.remarks.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let lists = [
        "header date: is listed, but the request has none",
        "parameter marker: is listed, but the request has none",
        "header range: is sent, but not covered",
        "parameter limit: is sent, but not covered",
    ];
    assert_eq!(remarks(&credentials(), NOW), lists);

    let other_id = Credentials::new("another-id", KEY).unwrap();
    assert_eq!(remarks(&other_id, NOW)[0], format!("key: signed by {ID}, compared with the key of another-id"));
    let late = remarks(&credentials(), times().end() + 7);
    assert_eq!(late[..2], ["time: q-sign-time ended 7 s before now", "time: q-key-time ended 7 s before now"]);
    let early = remarks(&credentials(), times().start() - 9);
    assert_eq!(early[0], "time: q-sign-time begins 9 s after now");
}

#[test]
fn a_good_signature_that_is_over_is_not_good() {
    let authorization = ByHand::new(&RIGHT.text(), HEADER_LIST, PARAMETER_LIST).authorization();
    let explanation = explain(&request(), &authorization, &credentials(), &Dialect::CAS, Some(times().end() + 1));
    assert!(matches!(explanation.verdict, Verdict::Good(_)) && !explanation.is_good());
}

#[test]
fn another_reading_than_the_dialects_is_good_with_a_remark() {
    let cos = signed(&request(), &{
        let mut options = SigningOptions::cas();
        options.dialect.reading = cas_sign::ParameterReading::C;
        options
    });
    let explanation = explained(cos.authorization());
    assert!(explanation.is_good());
    let remark = "encoding: parameter values were signed with reading C, CAS has A";
    assert!(explanation.remarks.iter().any(|finding| finding.to_string() == remark), "{explanation}");
}

#[test]
fn an_unreadable_signature_names_its_item() {
    let explanation = explained("q-sign-algorithm=sha1&q-ak=");
    assert!(matches!(explanation.verdict, Verdict::Unreadable(_)));
    assert_eq!(explanation.to_string(), "the signature cannot be read: q-sign-time: missing\n");
}

#[test]
fn a_signing_key_of_another_time_is_named() {
    let key_time = cas_sign::TimeRange::new(1, 2).unwrap();
    let key = credentials().signing_key(Algorithm::Sha1, key_time).unwrap();
    let authorization = ByHand::new(&RIGHT.text(), HEADER_LIST, PARAMETER_LIST).authorization();
    let delegated = Credentials::delegated(ID, key).unwrap();
    let explanation = explain(&request(), &authorization, &delegated, &Dialect::CAS, None);
    assert_eq!(explanation.verdict, Verdict::Unexplained);
    let remark = "key: q-key-time is 1480932292;1481012292, the signing key is one for 1;2";
    assert_eq!(explanation.remarks[0].to_string(), remark);
}

#[test]
fn the_items_of_a_query_form_are_not_called_uncovered() {
    let request = || SignableRequest::new("GET", "/a").with_header("Host", HOST);
    let link = presign(&request(), &credentials(), times(), &SigningOptions::cos()).unwrap();
    let received = request().with_query(link.query());
    let explanation = explain(&received, link.signed().authorization(), &credentials(), &Dialect::COS, Some(NOW));
    assert!(explanation.is_good());
    assert!(explanation.remarks.iter().all(|remark| !matches!(remark.subject, Subject::Parameter(_))), "{explanation}");
}
