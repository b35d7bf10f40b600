//! The mistakes that people make when they sign: each is a change to a `Recipe` and a sentence about it.

use crate::authorization::Authorization;
use crate::dialect::EmptyValues;
use crate::encode::{Case, decode, push_encoded};
use crate::explain::{Finding, Subject};
use crate::recipe::{Encoding, KeyUse, Recipe};
use crate::{Algorithm, SignableRequest};

/// A mistake that may have been made.
pub(crate) struct Suspect {
    finding: Finding,
    change: Box<dyn Fn(&mut Recipe)>,
}

impl Suspect {
    fn new(subject: Subject, text: impl Into<String>, change: impl Fn(&mut Recipe) + 'static) -> Self {
        Self { finding: Finding::new(subject, text), change: Box::new(change) }
    }

    /// Makes the mistake.
    pub(crate) fn commit(&self, recipe: &mut Recipe) {
        (self.change)(recipe);
    }

    pub(crate) fn finding(&self) -> Finding {
        self.finding.clone()
    }
}

/// Everything that is suspected, the likely first. Mistakes with the secret key make sense only where there is one.
pub(crate) fn suspects(
    request: &SignableRequest<'_>,
    authorization: &Authorization,
    has_secret_key: bool,
) -> Vec<Suspect> {
    let mut suspects = path_suspects(request);
    suspects.extend(method_suspects(request));
    suspects.extend(header_suspects(request, authorization));
    suspects.extend(host_suspects(request, authorization));
    suspects.extend(parameter_suspects(request, authorization));
    suspects.extend(encoding_suspects());
    suspects.extend(line_suspects(authorization));
    suspects.extend(key_suspects(has_secret_key));
    suspects
}

fn path_suspects(request: &SignableRequest<'_>) -> Vec<Suspect> {
    let sent = request.path().as_bytes().to_vec();
    let query: Vec<u8> = query_of(request);
    let path = |text: &str, change: fn(&[u8]) -> Vec<u8>| {
        Suspect::new(Subject::Path, text, move |recipe| recipe.path = change(&recipe.path))
    };
    vec![
        path("was signed in lower case", <[u8]>::to_ascii_lowercase),
        path("was signed with its escapes decoded", |path| decode(path).into_owned()),
        Suspect::new(Subject::Path, "was signed as it is sent, escapes and all", move |recipe| {
            recipe.path.clone_from(&sent)
        }),
        path("was signed percent-encoded", |path| encoded(path, b"/")),
        path("was signed percent-encoded, slashes too", |path| encoded(path, b"")),
        path("was signed with a slash at the end", |path| [path, b"/"].concat()),
        path("was signed without the slash at the end", |path| path.strip_suffix(b"/").unwrap_or(path).to_vec()),
        path("was signed without the slash at the beginning", |path| path.strip_prefix(b"/").unwrap_or(path).to_vec()),
        path("was signed with `-` for the account", with_dash),
        path("was signed empty", |_| Vec::new()),
        Suspect::new(Subject::Path, "was signed with the query after it", move |recipe| {
            recipe.path.push(b'?');
            recipe.path.extend_from_slice(&query);
        }),
    ]
}

fn method_suspects(request: &SignableRequest<'_>) -> Vec<Suspect> {
    let upper = request.method().to_ascii_uppercase();
    let others =
        ["GET", "HEAD", "PUT", "POST", "DELETE", "PATCH", "OPTIONS"].into_iter().filter(|other| *other != upper);
    let mut suspects: Vec<Suspect> = others
        .map(|other| {
            let text = format!("was signed as {other}, the request is a {upper}");
            Suspect::new(Subject::Method, text, move |recipe| recipe.method = other.to_ascii_lowercase())
        })
        .collect();
    suspects
        .push(Suspect::new(Subject::Method, "was signed in upper case", |recipe| recipe.method.make_ascii_uppercase()));
    suspects
}

fn header_suspects(request: &SignableRequest<'_>, authorization: &Authorization) -> Vec<Suspect> {
    let mut suspects = Vec::new();
    for (name, value) in request.headers() {
        let name = name.to_ascii_lowercase();
        let value = value.trim_ascii().to_vec();
        if authorization.header_list.contains_header(&name) {
            suspects.extend(listed_header_suspects(&name, &value));
        } else if name != "authorization" {
            let subject = Subject::Header(name.clone());
            suspects.push(Suspect::new(subject, "was signed, but is not listed", move |recipe| {
                recipe.headers.push((name.clone(), value.clone()));
            }));
        }
    }
    for name in authorization.header_list.iter().filter(|name| request.header(name).next().is_none()) {
        let name = name.to_ascii_lowercase();
        for value in ["", "0"] {
            let text = format!("was signed with the value {value:?}, the request has none");
            let (subject, name) = (Subject::Header(name.clone()), name.clone());
            suspects.push(Suspect::new(subject, text, move |recipe| {
                recipe.headers.push((name.clone(), value.as_bytes().to_vec()));
            }));
        }
    }
    suspects.push(Suspect::new(Subject::Header("*".to_owned()), "none was signed, though some are listed", |recipe| {
        recipe.headers.clear();
    }));
    suspects
}

fn listed_header_suspects(name: &str, value: &[u8]) -> Vec<Suspect> {
    let set = |text: String, new: Vec<u8>| {
        let header = name.to_owned();
        Suspect::new(Subject::Header(name.to_owned()), text, move |recipe| {
            recipe
                .headers
                .iter_mut()
                .filter(|(other, _)| *other == header)
                .for_each(|(_, value)| value.clone_from(&new));
        })
    };
    let header = name.to_owned();
    let mut suspects = vec![
        Suspect::new(
            Subject::Header(name.to_owned()),
            "is listed, but was left out of the format string",
            move |recipe| {
                recipe.headers.retain(|(other, _)| *other != header);
            },
        ),
        set("was signed with an empty value".to_owned(), Vec::new()),
        set("its value was signed in lower case".to_owned(), value.to_ascii_lowercase()),
        set("its value was signed in upper case".to_owned(), value.to_ascii_uppercase()),
        set("its value was signed with a space before it".to_owned(), [b" ", value].concat()),
        set("its value was signed with a space after it".to_owned(), [value, b" "].concat()),
        set("its value was decoded before it was signed".to_owned(), decode(value).into_owned()),
        set(
            "its bytes were taken for Latin-1".to_owned(),
            value.iter().map(|byte| char::from(*byte)).collect::<String>().into(),
        ),
    ];
    match name {
        "content-length" => suspects.push(set("was signed as 0".to_owned(), b"0".to_vec())),
        "content-type" => suspects.extend(content_types(value).into_iter().map(|other| {
            let text = format!("was signed as {:?}", String::from_utf8_lossy(&other));
            set(text, other)
        })),
        _ => {}
    }
    suspects
}

/// What HTTP libraries make of a content type.
fn content_types(value: &[u8]) -> Vec<Vec<u8>> {
    let bare = value.split(|byte| *byte == b';').next().unwrap_or(value).trim_ascii().to_vec();
    let suffixes: [&[u8]; 4] = [b"", b"; charset=utf-8", b";charset=utf-8", b"; charset=UTF-8"];
    let mut types: Vec<Vec<u8>> = suffixes.map(|suffix| [&bare, suffix].concat()).into();
    types.extend(
        [&b"application/octet-stream"[..], b"application/json", b"application/x-www-form-urlencoded"]
            .map(<[u8]>::to_vec),
    );
    types
}

fn host_suspects(request: &SignableRequest<'_>, authorization: &Authorization) -> Vec<Suspect> {
    if !authorization.header_list.contains_header("host") {
        return Vec::new();
    }
    let mut hosts: Vec<Vec<u8>> = request.header("host").map(<[u8]>::to_vec).collect();
    for host in hosts.clone() {
        match host.iter().rposition(|byte| *byte == b':') {
            Some(colon) => hosts.push(host[..colon].to_vec()),
            None => hosts.extend([":80", ":443", ":8080"].map(|port| [&host, port.as_bytes()].concat())),
        }
    }
    let suspect = |host: Vec<u8>| {
        let text = format!("was signed as {:?}", String::from_utf8_lossy(&host));
        Suspect::new(Subject::Header("host".to_owned()), text, move |recipe| {
            recipe.headers.retain(|(name, _)| name != "host");
            recipe.headers.push(("host".to_owned(), host.clone()));
        })
    };
    hosts.into_iter().map(suspect).collect()
}

fn parameter_suspects(request: &SignableRequest<'_>, authorization: &Authorization) -> Vec<Suspect> {
    let mut suspects = Vec::new();
    for (name, value) in request.parameters() {
        let subject = || Subject::Parameter(String::from_utf8_lossy(name).into_owned());
        let (name, value) = (name.to_vec(), value.map(<[u8]>::to_vec));
        if authorization.parameter_list.contains_parameter(&name) {
            suspects.extend(listed_parameter_suspects(&subject, &name, value.unwrap_or_default()));
        } else {
            suspects.push(Suspect::new(subject(), "was signed, but is not listed", move |recipe| {
                recipe.parameters.push((name.clone(), value.clone()));
            }));
        }
    }
    let all: Vec<_> = request.parameters().map(|(name, value)| (name.to_vec(), value.map(<[u8]>::to_vec))).collect();
    suspects.push(Suspect::new(
        Subject::Parameter("*".to_owned()),
        "all were signed, though they are not all listed",
        move |recipe| {
            recipe.parameters.clone_from(&all);
        },
    ));
    suspects.push(Suspect::new(
        Subject::Parameter("*".to_owned()),
        "none was signed, though some are listed",
        |recipe| {
            recipe.parameters.clear();
        },
    ));
    suspects
}

fn listed_parameter_suspects(subject: &impl Fn() -> Subject, name: &[u8], value: Vec<u8>) -> Vec<Suspect> {
    let set = |text: &str, new: Vec<u8>| {
        let name = name.to_vec();
        Suspect::new(subject(), text, move |recipe| {
            recipe
                .parameters
                .iter_mut()
                .filter(|(other, _)| *other == name)
                .for_each(|(_, value)| *value = Some(new.clone()));
        })
    };
    let dropped = name.to_vec();
    vec![
        Suspect::new(subject(), "is listed, but was left out of the format string", move |recipe| {
            recipe.parameters.retain(|(other, _)| *other != dropped);
        }),
        set("was signed with an empty value", Vec::new()),
        set("its `+` was signed as a space", replaced(&value, b'+', b' ')),
        set("its space was signed as a `+`", replaced(&value, b' ', b'+')),
        set("its value was decoded once too often", decode(&value).into_owned()),
        set("its value was signed still encoded", encoded(&value, b"")),
    ]
}

fn encoding_suspects() -> Vec<Suspect> {
    let styles = [
        (Encoding::PlusForSpace, "a space was encoded as `+`, not as %20"),
        (Encoding::NotAtAll, "values were not percent-encoded"),
        (Encoding::LowerCaseHex, "escapes were written with lower-case hex"),
        (Encoding::Keeping(b"/"), "slashes were not encoded"),
        (Encoding::Keeping(b"!'()*"), "the characters ! ' ( ) * were not encoded"),
        (Encoding::Keeping(b"!*'();:@&=+$,/?#[]"), "reserved characters were not encoded"),
        (Encoding::Keeping(b":"), "colons were not encoded"),
        (Encoding::EscapingTilde, "~ was encoded"),
        (Encoding::Twice, "values were percent-encoded twice"),
    ];
    let mut suspects: Vec<Suspect> = styles
        .into_iter()
        .map(|(style, text)| Suspect::new(Subject::Encoding, text, move |recipe| recipe.encoding = style))
        .collect();
    for (empty_values, text) in [
        (EmptyValues::Bare, "an empty value was signed without an equals sign"),
        (EmptyValues::WithEquals, "an empty value was signed with an equals sign"),
    ] {
        suspects.push(Suspect::new(Subject::Encoding, text, move |recipe| recipe.empty_values = empty_values));
    }
    let keys = "the names of parameters were signed with their case kept";
    suspects.push(Suspect::new(Subject::Encoding, keys, |recipe| recipe.key_case = Case::Keep));
    suspects
}

fn line_suspects(authorization: &Authorization) -> Vec<Suspect> {
    let lines = |text: &str, change: fn(&mut Recipe)| Suspect::new(Subject::Lines, text, change);
    let key_time = authorization.key_time;
    let other = match authorization.algorithm {
        Algorithm::Sha1 => Algorithm::Sha256,
        Algorithm::Sha256 => Algorithm::Sha1,
    };
    vec![
        lines("headers were not sorted", |recipe| recipe.sorted_headers = false),
        lines("parameters were not sorted", |recipe| recipe.sorted_parameters = false),
        lines("the last line break of the format string was left out", |recipe| recipe.last_line_end = false),
        lines("the format string has carriage returns", |recipe| recipe.line_end = "\r\n"),
        lines("the digest in the string to sign was written in upper case", |recipe| recipe.upper_case_digest = true),
        Suspect::new(Subject::Time, "the string to sign holds the key time, not the sign time", move |recipe| {
            recipe.stamp = key_time;
        }),
        Suspect::new(Subject::Algorithm, format!("the format string was hashed with {other}"), move |recipe| {
            recipe.digest = other;
        }),
    ]
}

fn key_suspects(has_secret_key: bool) -> Vec<Suspect> {
    let key = |text: &str, key: KeyUse| Suspect::new(Subject::Key, text, move |recipe| recipe.key = key);
    let mut suspects = vec![key("the signing key was decoded from hex: its text is the key", KeyUse::HexDecoded)];
    if has_secret_key {
        suspects.extend([
            key("the signing key was derived for the sign time, not for the key time", KeyUse::DerivedForSignTime),
            key("the secret key was used itself, not the signing key", KeyUse::SecretItself),
            key("the secret key was used without the spaces around it", KeyUse::SecretTrimmed),
            key("the secret key was used with a line break at its end", KeyUse::SecretWithLineBreak),
        ]);
    }
    suspects
}

fn with_dash(path: &[u8]) -> Vec<u8> {
    let rest = path.strip_prefix(b"/").unwrap_or_default();
    match rest.iter().position(|byte| *byte == b'/') {
        Some(slash) => [b"/-", &rest[slash..]].concat(),
        None => path.to_vec(),
    }
}

fn query_of(request: &SignableRequest<'_>) -> Vec<u8> {
    let pairs: Vec<Vec<u8>> = request
        .parameters()
        .map(|(name, value)| match value {
            Some(value) => [encoded(name, b""), encoded(value, b"")].join(&b'='),
            None => encoded(name, b""),
        })
        .collect();
    pairs.join(&b'&')
}

/// Percent-encodes text except for the bytes that are kept.
fn encoded(text: &[u8], kept: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for byte in text {
        if kept.contains(byte) {
            out.push(*byte);
        } else {
            push_encoded(&mut out, &[*byte], Case::Keep);
        }
    }
    out
}

fn replaced(text: &[u8], from: u8, to: u8) -> Vec<u8> {
    text.iter().map(|byte| if *byte == from { to } else { *byte }).collect()
}
