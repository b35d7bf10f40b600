//! cas-sign against signers that share no line with it: for COS `reqsign`, for CAS a slow one that follows protocol.md §3.1 word by word, its hashes from another
//! library. And the page that signs by hand, held against the crate.

#![expect(clippy::unwrap_used, reason = "this is all test code, and its helpers are not marked as such")]

use cas_sign::{
    Algorithm, Credentials, Dialect, EmptyValues, HeaderPolicy, KeyTime, ParameterPolicy, ParameterReading,
    SignableRequest, SigningOptions, TimeRange, sign,
};
use fastrand::Rng;
use http::request::Parts;
use reqsign_core::hash::{hex_hmac_sha1, hex_hmac_sha256, hex_sha1, hex_sha256};
use reqsign_core::{Context, SignRequest as _};
use reqsign_tencent_cos::{Credential, RequestSigner};

const REQUESTS: usize = 5_000;

#[tokio::test]
async fn five_thousand_cos_requests_are_signed_as_reqsign_signs_them() {
    let mut rng = Rng::with_seed(20_190_516);
    for number in 0..REQUESTS {
        let (id, key) = (format!("id-{number}"), text(&mut rng, 1, 40, |letter| !"\r\n\0".contains(letter)));
        let head = cos_head(&mut rng);

        let mut theirs = head.clone();
        let mut credential = Credential::default();
        (credential.secret_id, credential.secret_key) = (id.clone(), key.clone());
        RequestSigner::new().sign_request(&Context::new(), &mut theirs, Some(&credential), None).await.unwrap();
        let theirs = theirs.headers["authorization"].to_str().unwrap();

        // Their signer reads the clock, so ours takes the time from what it made.
        let sign_time = theirs.parse::<cas_sign::Authorization>().unwrap().sign_time;
        let mut options = SigningOptions::cos();
        options.headers = HeaderPolicy::All;
        let credentials = Credentials::new(id, key).unwrap();
        let mut ours = head.clone();
        let signed = cas_sign::http::sign(&mut ours, &credentials, sign_time, &options).unwrap();
        assert_eq!(signed.authorization(), theirs, "request {number}: {head:?}");
    }
}

#[test]
fn five_thousand_cas_requests_are_signed_as_the_protocol_says() {
    let mut rng = Rng::with_seed(20_161_205);
    for number in 0..REQUESTS {
        let case = CasCase::any(&mut rng);
        let signed = sign(&case.request(), &case.credentials(), case.sign_time, &case.options()).unwrap();
        let strings = case.slow_strings();
        let found =
            [signed.format_string(), signed.string_to_sign(), signed.signing_key().expose(), signed.authorization()];
        for (found, expected) in found.into_iter().zip(&strings) {
            assert_eq!(found, expected, "request {number}: {case:?}");
        }
    }
}

#[test]
fn the_page_that_signs_by_hand_quotes_what_the_crate_computes() {
    let page = include_str!("../../docs/signing.md");
    let target = page.lines().find_map(|line| line.strip_prefix("GET ")?.strip_suffix(" HTTP/1.1")).unwrap();
    let (path, query) = target.split_once('?').unwrap();
    let request =
        SignableRequest::new("GET", path).with_query(query).with_header("Host", "cas.ap-chengdu.myqcloud.com");
    let credentials = Credentials::new("example-secret-id", "CasExampleSecretKey0123456789abcd").unwrap();
    let times = TimeRange::new(1_480_932_292, 1_481_012_292).unwrap();
    let quotes = |text: &str| assert!(page.contains(text), "docs/signing.md does not have {text:?}");

    let signed = sign(&request, &credentials, times, &SigningOptions::cas()).unwrap();
    signed.format_string().lines().for_each(|line| quotes(&format!("```text\n{line}\n```")));
    quotes(&format!("```text\n{}\n```", signed.signing_key().expose()));
    quotes(&format!("```text\n{}```", signed.string_to_sign()));
    quotes(&format!("```text\n{}\n```", signed.signature()));
    quotes(&format!("```text\n{}\n```", signed.authorization()));
    for reading in ParameterReading::ALL {
        let mut options = SigningOptions::cas();
        options.dialect.reading = reading;
        let signed = sign(&request, &credentials, times, &options).unwrap();
        quotes(&format!("| {reading} | "));
        quotes(&format!(" | `{}` |", signed.format_string().lines().nth(2).unwrap()));
    }
}

/// A COS request that both signers understand: no name twice, because reqsign lists it twice; names of parameters without escapes, which it
/// leaves in upper case; and visible ASCII in headers, for it reads them as text.
fn cos_head(rng: &mut Rng) -> Parts {
    let segments: Vec<String> =
        (0..rng.usize(1..4)).map(|_| slow_encode(&text(rng, 0, 8, |_| true), Keep::Case)).collect();
    let mut target = format!("https://b-1250000000.cos.ap-beijing.myqcloud.com/{}", segments.join("/"));
    for (index, name) in names(rng, 5, &["prefix", "versionId", "Uploads", "max-keys", "x_y", "response-content-type"])
        .iter()
        .enumerate()
    {
        target.push(if index == 0 { '?' } else { '&' });
        target.push_str(name);
        if rng.u8(0..5) > 0 {
            target.push('=');
            target.push_str(&slow_encode(&text(rng, 0, 10, |_| true), Keep::Case));
        }
    }
    let method = *rng.choice(&["GET", "PUT", "POST", "DELETE", "HEAD"]).unwrap();
    let mut builder =
        http::Request::builder().method(method).uri(target).header("host", "b-1250000000.cos.ap-beijing.myqcloud.com");
    for name in names(
        rng,
        6,
        &["x-cos-acl", "Range", "Content-MD5", "Content-Type", "x-ci-Process", "Cache-Control", "x-other"],
    ) {
        let value = text(rng, 0, 20, |letter| letter.is_ascii_graphic() || letter == ' ');
        builder = builder.header(name, value.trim());
    }
    builder.body(()).unwrap().into_parts().0
}

/// A CAS request, by its parts, with all that decides how it is signed.
#[derive(Debug)]
struct CasCase {
    method: &'static str,
    path: String,
    parameters: Vec<(String, Option<String>)>,
    headers: Vec<(&'static str, String)>,
    secret_key: String,
    sign_time: TimeRange,
    key_time: TimeRange,
    algorithm: Algorithm,
    reading: ParameterReading,
    empty_values: EmptyValues,
    signs_parameters: bool,
    signs_headers: bool,
}

const ID: &str = "example-secret-id";
const HEADERS: &[&str] = &[
    "Host",
    "content-length",
    "Content-Range",
    "RANGE",
    "content-type",
    "x-cas-archive-description",
    "X-CAS-SHA256-Tree-Hash",
];
/// The default policy leaves these out.
const UNSIGNED: &[&str] = &["Date", "user-agent", "Authorization", "x-ca"];

impl CasCase {
    fn any(rng: &mut Rng) -> Self {
        let start = rng.u64(0..4_000_000_000);
        let (early, length, late) = (rng.u64(0..1000).min(start), rng.u64(0..100_000), rng.u64(0..1000));
        let any_parameter = |rng: &mut Rng| {
            let name = text(rng, 1, 6, |_| true);
            (name, if rng.u8(0..5) > 0 { Some(text(rng, 0, 10, |_| true)) } else { None })
        };
        let any_header = |rng: &mut Rng, names: &[&'static str]| {
            (*rng.choice(names).unwrap(), text(rng, 0, 20, |letter| !"\r\n\0".contains(letter)).trim_ascii().to_owned())
        };
        let mut headers: Vec<_> = (0..rng.usize(0..8)).map(|_| any_header(rng, HEADERS)).collect();
        headers.extend((0..rng.usize(0..3)).map(|_| any_header(rng, UNSIGNED)));
        rng.shuffle(&mut headers);
        Self {
            method: rng.choice(&["GET", "PUT", "POST", "DELETE", "get"]).unwrap(),
            path: format!("/-/{}", slow_encode(&text(rng, 0, 12, |_| true), Keep::Case)),
            parameters: (0..rng.usize(0..6)).map(|_| any_parameter(rng)).collect(),
            headers,
            secret_key: text(rng, 1, 90, |letter| !"\r\n\0".contains(letter)),
            sign_time: TimeRange::new(start, start + length).unwrap(),
            key_time: TimeRange::new(start - early, start + length + late).unwrap(),
            algorithm: *rng.choice(&[Algorithm::Sha1, Algorithm::Sha256]).unwrap(),
            reading: *rng.choice(&ParameterReading::ALL).unwrap(),
            empty_values: *rng.choice(&[EmptyValues::Bare, EmptyValues::WithEquals, EmptyValues::AsWritten]).unwrap(),
            signs_parameters: rng.u8(0..8) > 0,
            signs_headers: rng.u8(0..8) > 0,
        }
    }

    fn request(&self) -> SignableRequest<'_> {
        let mut request = SignableRequest::new(self.method, &self.path);
        for (name, value) in &self.parameters {
            request.push_parameter(name.as_bytes(), value.as_ref().map(String::as_bytes));
        }
        for (name, value) in &self.headers {
            request.push_header(name, value.as_bytes());
        }
        request
    }

    fn credentials(&self) -> Credentials {
        Credentials::new(ID, &self.secret_key).unwrap()
    }

    fn options(&self) -> SigningOptions {
        let mut options = SigningOptions::new(Dialect::CAS);
        (options.algorithm, options.key_time) = (self.algorithm, KeyTime::Fixed(self.key_time));
        (options.dialect.reading, options.dialect.empty_values) = (self.reading, self.empty_values);
        options.headers = if self.signs_headers { HeaderPolicy::Standard } else { HeaderPolicy::None };
        options.parameters = if self.signs_parameters { ParameterPolicy::All } else { ParameterPolicy::None };
        options
    }

    /// Format string, string to sign, signing key and authorization.
    fn slow_strings(&self) -> [String; 4] {
        let sha1 = self.algorithm == Algorithm::Sha1;
        let hash: fn(&[u8]) -> String = if sha1 { hex_sha1 } else { hex_sha256 };
        let hmac: fn(&[u8], &[u8]) -> String = if sha1 { hex_hmac_sha1 } else { hex_hmac_sha256 };
        let (parameter_line, parameter_list) = self.slow_parameters();
        let (header_line, header_list) = self.slow_headers();
        let format_string = format!("{}\n{}\n{parameter_line}\n{header_line}\n", self.method.to_lowercase(), self.path);
        let (algorithm, sign_time, key_time) = (self.algorithm, self.sign_time, self.key_time);
        let string_to_sign = format!("{algorithm}\n{sign_time}\n{}\n", hash(format_string.as_bytes()));
        let signing_key = hmac(self.secret_key.as_bytes(), key_time.to_string().as_bytes());
        let signature = hmac(signing_key.as_bytes(), string_to_sign.as_bytes());
        let authorization = format!(
            "q-sign-algorithm={algorithm}&q-ak={ID}&q-sign-time={sign_time}&q-key-time={key_time}\
             &q-header-list={header_list}&q-url-param-list={parameter_list}&q-signature={signature}"
        );
        [format_string, string_to_sign, signing_key, authorization]
    }

    fn slow_parameters(&self) -> (String, String) {
        let mut pairs = Vec::new();
        for (name, value) in self.parameters.iter().filter(|_| self.signs_parameters) {
            let lowered = name.to_ascii_lowercase();
            let written = match self.reading {
                ParameterReading::A => slow_encode(&value.clone().unwrap_or_default().to_ascii_lowercase(), Keep::Case),
                ParameterReading::B => slow_encode(&value.clone().unwrap_or_default(), Keep::Nothing),
                ParameterReading::C => slow_encode(&value.clone().unwrap_or_default(), Keep::Case),
            };
            let key =
                slow_encode(&lowered, if self.reading == ParameterReading::B { Keep::Nothing } else { Keep::Case });
            let bare = match self.empty_values {
                EmptyValues::Bare => written.is_empty(),
                EmptyValues::WithEquals => false,
                EmptyValues::AsWritten => value.is_none(),
            };
            // By the lower-cased key; under reading B the key is lowered last, so by what it is then.
            let order =
                if self.reading == ParameterReading::B { key.clone().into_bytes() } else { lowered.into_bytes() };
            let pair = if bare { key.clone() } else { format!("{key}={written}") };
            pairs.push((order, key, pair));
        }
        slow_join(pairs)
    }

    fn slow_headers(&self) -> (String, String) {
        let mut pairs = Vec::new();
        for (name, value) in self.headers.iter().filter(|(name, _)| self.signs_headers && HEADERS.contains(name)) {
            let key = name.to_lowercase();
            let bare = value.is_empty() && self.empty_values == EmptyValues::Bare;
            let pair = if bare { key.clone() } else { format!("{key}={}", slow_encode(value, Keep::Case)) };
            pairs.push((key.clone().into_bytes(), key, pair));
        }
        slow_join(pairs)
    }
}

/// The line of the format string and the list of names, from (what to sort by, name, what to write).
fn slow_join(mut pairs: Vec<(Vec<u8>, String, String)>) -> (String, String) {
    pairs.sort_by(|(a, ..), (b, ..)| a.cmp(b));
    let line: Vec<String> = pairs.iter().map(|(.., pair)| pair.clone()).collect();
    let mut names: Vec<String> = pairs.into_iter().map(|(_, name, _)| name).collect();
    names.dedup();
    (line.join("&"), names.join(";"))
}

/// What keeps its case when text is encoded.
#[derive(Clone, Copy, PartialEq)]
enum Keep {
    Case,
    Nothing,
}

fn slow_encode(text: &str, keep: Keep) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    if keep == Keep::Nothing { out.to_ascii_lowercase() } else { out }
}

/// Some of these names, none twice.
fn names<'n>(rng: &mut Rng, most: usize, all: &[&'n str]) -> Vec<&'n str> {
    let mut names = all.to_vec();
    rng.shuffle(&mut names);
    names.truncate(rng.usize(0..=most));
    names
}

/// Text from letters that make trouble, of a length between the two.
fn text(rng: &mut Rng, least: usize, most: usize, allowed: impl Fn(char) -> bool) -> String {
    let letters: Vec<char> = "abzAZ09-_.~ +%=&/?#!*'();:@,$[]\"\\|^`{}<>\t\r\n\0éÀİßſ文件😀"
        .chars()
        .filter(|letter| allowed(*letter))
        .collect();
    let length = rng.usize(least..=most);
    (0..length).map(|_| letters[rng.usize(0..letters.len())]).collect()
}
