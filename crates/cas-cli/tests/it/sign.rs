//! `cas sign`: published signatures, and mistakes found in others.

use crate::folder::{Folder, text};

/// A folder whose environment holds the pair of the published CAS examples.
fn folder() -> Folder {
    let mut folder = Folder::new();
    folder.set("TENCENTCLOUD_SECRET_ID", "example-secret-id");
    folder.set("TENCENTCLOUD_SECRET_KEY", "CasExampleSecretKey0123456789abcd");
    folder
}

const JOBS: [&str; 11] = [
    "sign",
    "GET",
    "/1250000000/vaults/My.Vault-1/jobs",
    "--param",
    "limit=10",
    "--param",
    "marker=文件库 A+b~!*'()/",
    "--param",
    "statuscode=InProgress",
    "--header",
    "Host: cas.ap-chengdu.myqcloud.com",
];
const SIGN_TIME: [&str; 2] = ["--sign-time", "1480932292;1481012292"];

fn with<'w>(words: &[&'w str], more: &[&'w str]) -> Vec<&'w str> {
    [words, more].concat()
}

#[test]
fn a_published_request_gets_its_published_signature() {
    let signed = folder().run(&with(&JOBS, &SIGN_TIME)).ok().stdout;
    assert_eq!(
        signed,
        "q-sign-algorithm=sha1&q-ak=example-secret-id&q-sign-time=1480932292;1481012292&q-key-time=1480932292;1481012292&\
         q-header-list=host&q-url-param-list=limit;marker;statuscode&q-signature=055060e1496a9e2a5cfbfadf7e1de183210b2631\n"
    );
}

#[test]
fn every_string_on_the_way_is_told_to_programs() {
    let json = folder().run(&with(&with(&JOBS, &SIGN_TIME), &["--json"])).ok().json();
    assert_eq!(
        text(&json, "format_string"),
        "get\n/1250000000/vaults/My.Vault-1/jobs\n\
         limit=10&marker=%E6%96%87%E4%BB%B6%E5%BA%93%20a%2Bb~%21%2A%27%28%29%2F&statuscode=inprogress\n\
         host=cas.ap-chengdu.myqcloud.com\n"
    );
    assert!(text(&json, "string_to_sign").starts_with("sha1\n1480932292;1481012292\n"));
    assert_eq!(text(&json, "signing_key").len(), 40);
    assert!(text(&json, "authorization").ends_with("055060e1496a9e2a5cfbfadf7e1de183210b2631"));
}

#[test]
fn a_signing_key_stands_in_for_the_secret_key_it_was_derived_from() {
    let mut folder = folder();
    let line = with(&JOBS, &SIGN_TIME);
    let json = folder.run(&with(&line, &["--json", "--key-time", "1480930000;1481020000"])).ok().json();
    let key = text(&json, "signing_key");
    let delegated = with(&line, &["--key-time", "1480930000;1481020000", "--signing-key", &key]);
    assert_eq!(folder.run(&delegated).ok().stdout.trim_end(), text(&json, "authorization"));
    folder
        .run(&with(&line, &["--key-time", "1480932293;1481020000", "--signing-key", &key]))
        .ends_with(2)
        .complains("key time");
    folder.set("CAS_SIGNING_KEY", &key);
    let from_environment = folder.run(&with(&line, &["--key-time", "1480930000;1481020000"])).ok().stdout;
    assert_eq!(from_environment.trim_end(), text(&json, "authorization"));
}

#[test]
fn the_request_of_the_cos_documentation_is_signed_as_there() {
    let words = [
        "sign",
        "PUT",
        "/exampleobject(%E8%85%BE%E8%AE%AF%E4%BA%91)",
        "--dialect=cos",
        "--secret-id=any-secret-id",
        "--signing-key=eb2519b498b02ac213cb1f3d1a3d27a3b3c9bc5f",
        "--sign-time=1557989151;1557996351",
        "--header=Date: Thu, 16 May 2019 06:45:51 GMT",
        "--header=Host: examplebucket-1250000000.cos.ap-beijing.myqcloud.com",
        "--header=x-cos-acl: private",
        "--header=x-cos-grant-read: uin=\"100000000011\"",
        "--header=Content-Length: 13",
        "--header=Content-Type: text/plain",
        "--header=Content-MD5: mQ/fVh815F3k6TAUm8m0eg==",
    ];
    Folder::new().run(&words).ok().says("&q-signature=3b8851a11a569213c17ba8fa7dcf2abec6935172");
}

#[test]
fn without_a_time_it_signs_for_now() {
    let json = folder().cas("sign GET /-/vaults --json").ok().json();
    let times = text(&json, "sign_time");
    let (start, end) = times.split_once(';').unwrap();
    let seconds = |text: &str| text.parse::<u64>().unwrap();
    assert_eq!(seconds(end) - seconds(start), 16 * 60);
    folder()
        .run(&["sign", "GET", "/-/vaults", "--explain", &text(&json, "authorization")])
        .ok()
        .says("is the one of this request");
}

#[test]
fn algorithm_and_reading_can_be_chosen() {
    let signature = |more: &[&str]| folder().run(&with(&with(&JOBS, &SIGN_TIME), more)).ok().stdout;
    let all = [signature(&[]), signature(&["--reading", "C"]), signature(&["--algorithm", "sha256"])];
    assert!(all[0] != all[1] && all[1] != all[2]);
    assert!(all[2].starts_with("q-sign-algorithm=sha256&"));
}

#[test]
fn what_differs_is_said_in_words() {
    let folder = folder();
    let lowered = folder.run(&["sign", "GET", "/-/vaults/photos"]).ok().stdout;
    let explain = |path: &str, authorization: &str, more: &[&str]| {
        folder.run(&with(&["sign", "GET", path, "--explain", authorization], more)).ends_with(1)
    };
    explain("/-/vaults/Photos", lowered.trim_end(), &[]).says("path: was signed in lower case").complains("not good");
    let json = explain("/-/vaults/Photos", lowered.trim_end(), &["--json"]).json();
    assert_eq!((json["good"].as_bool(), json["causes"][0]["subject"].as_str()), (Some(false), Some("path")));
    explain("/-/vaults/photos", lowered.trim_end(), &["--secret-key", "another"]).says("the secret key is another one");
    let old = folder.run(&with(&["sign", "GET", "/-/vaults"], &SIGN_TIME)).ok().stdout;
    explain("/-/vaults", old.trim_end(), &[]).says("q-sign-time ended");
    folder.run(&["sign", "GET", "/", "--explain", "nonsense"]).ends_with(2);
}

#[test]
fn bad_input_names_the_field() {
    let folder = folder();
    for (words, says) in [
        (&["sign", "GET", "no-slash"][..], "path"),
        (&["sign", "GET", "/", "--header", "A: b\nc"], "header a"),
        (&["sign", "GET", "/", "--sign-time", "5;4"], "ends at 4"),
        (&["sign", "GET", "/", "--signing-key", "00"], "signing key"),
        (&["sign", "GET", "/", "--header", "no colon"], "a colon"),
        (&["sign", "", "/"], "method"),
    ] {
        folder.run(words).ends_with(2).complains(says);
    }
}

#[test]
fn no_message_holds_the_secret_key() {
    let folder = folder();
    for line in [
        "sign GET x",
        "sign GET / --reading D",
        "sign GET / --explain q --secret-key hush-hush",
        "sign GET / --signing-key hush-hush",
    ] {
        folder.cas(line).ends_with(2);
    }
    folder.run(&["sign", "GET", "/", "--secret-key", "hush-hush\n"]).ends_with(3);
    let printed = folder.printed();
    assert!(!printed.contains("hush-hush") && !printed.contains("CasExampleSecretKey"), "{printed}");
}
