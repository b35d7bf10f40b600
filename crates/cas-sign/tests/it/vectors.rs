//! Published numbers. Each folder of `tests/vectors` is a case with one file for each string on the way; `signature.json` has 135 more: 80 for CAS
//! from a slow signer, 55 for COS from the official Python client of COS. All go through one runner that names the first stage that is wrong.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use cas_sign::{
    Algorithm, Credentials, Dialect, EmptyValues, HeaderPolicy, Key, KeyTime, SignableRequest, Signed, SigningKey,
    SigningOptions, TimeRange, Verdict, Verifier, explain, sign,
};
use serde::Deserialize;

use crate::support::Head;

/// The strings that a case must give, in the order in which they are made.
#[derive(Clone)]
struct Stages {
    format_string: String,
    signing_key: String,
    string_to_sign: String,
    authorization: String,
}

impl Stages {
    /// The first stage at which `signed` goes wrong.
    fn first_wrong(&self, signed: &Signed) -> Option<String> {
        let stages = [
            ("format string", &*self.format_string, signed.format_string()),
            ("signing key", &self.signing_key, signed.signing_key().expose()),
            ("string to sign", &self.string_to_sign, signed.string_to_sign()),
            ("authorization", &self.authorization, signed.authorization()),
        ];
        let (stage, expected, found) = stages.into_iter().find(|(_, expected, found)| expected != found)?;
        Some(format!("{stage}\nexpected {expected:?}\n   found {found:?}"))
    }
}

/// A folder.
struct Case {
    name: String,
    head: Head,
    context: BTreeMap<String, String>,
    stages: Stages,
}

impl Case {
    fn read(folder: &Path) -> Self {
        let file = |name: &str| {
            fs::read_to_string(folder.join(name)).unwrap_or_else(|error| panic!("{folder:?}/{name}: {error}"))
        };
        let line = |name: &str| file(name).trim_end().to_owned();
        let context = file("context.toml");
        let pairs = context.lines().filter(|line| !line.starts_with('#')).map(|line| {
            let (key, value) = line.split_once(" = ").unwrap();
            (key.to_owned(), value.trim_matches('"').to_owned())
        });
        Self {
            name: folder.file_name().unwrap().to_string_lossy().into_owned(),
            head: Head::parse(&file("request.txt")),
            context: pairs.collect(),
            stages: Stages {
                format_string: file("format-string.txt"),
                signing_key: line("signing-key.txt"),
                string_to_sign: file("string-to-sign.txt"),
                authorization: line("authorization.txt"),
            },
        }
    }

    fn text(&self, key: &str) -> &str {
        self.context.get(key).unwrap_or_else(|| panic!("{}: no {key} in context.toml", self.name))
    }

    fn times(&self, key: &str) -> TimeRange {
        self.text(key).parse().unwrap()
    }

    fn options(&self) -> SigningOptions {
        let mut options = SigningOptions::new(dialect(self.text("dialect")));
        options.algorithm = self.text("algorithm").parse().unwrap();
        options.dialect.reading = self.text("reading").parse().unwrap();
        options.dialect.empty_values = match self.text("empty_values") {
            "as-written" => EmptyValues::AsWritten,
            "with-equals" => EmptyValues::WithEquals,
            other => panic!("{}: {other}", self.name),
        };
        options.headers = match self.text("headers") {
            "standard" => HeaderPolicy::Standard,
            "official-python" => HeaderPolicy::OfficialPython,
            "all" => HeaderPolicy::All,
            "none" => HeaderPolicy::None,
            other => panic!("{}: {other}", self.name),
        };
        options.key_time = KeyTime::Fixed(self.times("key_time"));
        options
    }

    /// From the secret key, or from the signing key as a delegated client has it.
    fn credentials(&self) -> Credentials {
        match self.context.get("secret_key") {
            Some(secret_key) => Credentials::new(self.text("secret_id"), secret_key).unwrap(),
            None => {
                let algorithm = self.text("algorithm").parse().unwrap();
                let key = SigningKey::from_hex(algorithm, self.text("signing_key"), self.times("key_time")).unwrap();
                Credentials::delegated(self.text("secret_id"), key).unwrap()
            }
        }
    }
}

fn folders() -> Vec<Case> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors");
    let mut folders: Vec<_> =
        fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect();
    folders.sort();
    folders.iter().map(|folder| Case::read(folder)).collect()
}

fn dialect(name: &str) -> Dialect {
    match name {
        "cas" => Dialect::CAS,
        "cos" => Dialect::COS,
        other => panic!("unknown dialect {other}"),
    }
}

#[test]
fn every_folder_passes_stage_by_stage() {
    let cases = folders();
    assert_eq!(cases.len(), 13);
    for case in cases {
        let signed = sign(&case.head.request(), &case.credentials(), case.times("sign_time"), &case.options()).unwrap();
        assert_eq!(case.stages.first_wrong(&signed), None, "{}", case.name);
    }
}

#[test]
fn every_folder_verifies_and_is_explained_as_good() {
    for case in folders() {
        let mut verifier = if case.text("dialect") == "cas" { Verifier::cas() } else { Verifier::cos() };
        verifier.algorithms.push(Algorithm::Sha256);
        let key = case.credentials().key().clone();
        let now = case.times("sign_time").start();
        let verified =
            verifier.verify(&case.head.request(), Some(&case.stages.authorization), now, |_| Some(key)).unwrap();
        assert_eq!(verified.authorization.secret_id.as_str(), case.text("secret_id"), "{}", case.name);
        if !case.head.query.is_empty() && case.name.starts_with("parameters") {
            assert_eq!(verified.matched.reading.to_string(), case.text("reading"), "{}", case.name);
        }

        let dialect = dialect(case.text("dialect"));
        let explanation =
            explain(&case.head.request(), &case.stages.authorization, &case.credentials(), &dialect, Some(now));
        assert!(explanation.is_good(), "{}: {explanation}", case.name);
        assert!(matches!(explanation.verdict, Verdict::Good(_)));
    }
}

#[test]
fn the_runner_names_the_first_stage_that_is_wrong() {
    let case = folders().into_iter().find(|case| case.name == "plain-get").unwrap();
    let signed = sign(&case.head.request(), &case.credentials(), case.times("sign_time"), &case.options()).unwrap();
    let mut stages = case.stages;
    let mut assert_names = |spoil: fn(&mut Stages) -> &mut String, name: &str| {
        spoil(&mut stages).push('x');
        let wrong = stages.first_wrong(&signed).unwrap();
        assert!(wrong.starts_with(name), "{wrong}");
    };
    assert_names(|stages| &mut stages.authorization, "authorization");
    assert_names(|stages| &mut stages.string_to_sign, "string to sign");
    assert_names(|stages| &mut stages.signing_key, "signing key");
    assert_names(|stages| &mut stages.format_string, "format string");
}

#[derive(Deserialize)]
struct Recorded {
    cases: Vec<RecordedCase>,
}

#[derive(Deserialize)]
struct RecordedCase {
    dialect: String,
    algorithm: String,
    reading: String,
    method: String,
    path: String,
    params: Vec<(String, String)>,
    headers: Vec<(String, String)>,
    secret_id: String,
    secret_key: String,
    sign_time: String,
    key_time: String,
    format_string: String,
    signing_key: String,
    string_to_sign: String,
    authorization: String,
}

#[test]
fn every_recorded_case_passes_stage_by_stage_and_verifies() {
    let recorded: Recorded = serde_json::from_str(include_str!("../vectors/signature.json")).unwrap();
    assert_eq!(recorded.cases.len(), 135);
    for (index, case) in recorded.cases.into_iter().enumerate() {
        let mut request = SignableRequest::new(&case.method, &case.path);
        for (name, value) in &case.params {
            request = request.with_parameter(name, value);
        }
        for (name, value) in &case.headers {
            request = request.with_header(name, value);
        }
        let mut options = SigningOptions::new(dialect(&case.dialect));
        options.algorithm = case.algorithm.parse().unwrap();
        options.dialect.reading = case.reading.parse().unwrap();
        options.headers = HeaderPolicy::All;
        options.key_time = KeyTime::Fixed(case.key_time.parse().unwrap());
        let credentials = Credentials::new(case.secret_id, case.secret_key).unwrap();
        let sign_time: TimeRange = case.sign_time.parse().unwrap();

        let signed = sign(&request, &credentials, sign_time, &options).unwrap();
        let stages = Stages {
            format_string: case.format_string,
            signing_key: case.signing_key,
            string_to_sign: case.string_to_sign,
            authorization: case.authorization,
        };
        assert_eq!(stages.first_wrong(&signed), None, "case {index}");

        let mut verifier = Verifier::new(options.dialect);
        verifier.algorithms.push(Algorithm::Sha256);
        let lookup = |_: &str| -> Option<Key> { Some(credentials.key().clone()) };
        verifier.verify(&request, Some(&stages.authorization), sign_time.start(), lookup).unwrap();
    }
}
