//! Why a signature does not fit a request, in words: which header, parameter, encoding, key or time differs.

use std::fmt;

use crate::authorization::{Authorization, AuthorizationError};
use crate::credentials::{Credentials, Key};
use crate::dialect::EmptyValues;
use crate::encode::decode;
use crate::recipe::Recipe;
use crate::suspects::{Suspect, suspects};
use crate::verify::{Match, Verifier, signing_key};
use crate::{Dialect, HeaderPolicy, ParameterReading, SignableRequest};

/// Compares a signature with the request that it came with, and looks for the mistake when they do not fit.
///
/// The search signs the request again in some hundred wrong ways, alone and in pairs: another method, an encoded path, a header that was changed
/// on the way, a space written as `+`, a time range in the wrong place. When one of them gives the very signature, the mistake is certain and
/// [`Explanation::causes`] names it. It takes some tens of milliseconds, and more for requests with more headers: it is for people, not for
/// every request.
///
/// `now`, in seconds since the Unix epoch, lets it say that a time range is over.
///
/// The result holds no secret and may be shown to whoever may see the request.
///
/// ```
/// use cas_sign::{Credentials, Dialect, SignableRequest, SigningOptions, TimeRange, explain, sign};
///
/// let credentials = Credentials::new("example-secret-id", "CasExampleSecretKey0123456789abcd")?;
/// let sent = SignableRequest::new("GET", "/-/vaults/Photos").with_header("Host", "cas.ap-chengdu.myqcloud.com");
/// // A client that lowers the path before it signs.
/// let lowered = SignableRequest::new("GET", "/-/vaults/photos").with_header("Host", "cas.ap-chengdu.myqcloud.com");
/// let signed = sign(&lowered, &credentials, TimeRange::new(1480932292, 1481012292)?, &SigningOptions::cas())?;
///
/// let explanation = explain(&sent, signed.authorization(), &credentials, &Dialect::CAS, None);
/// assert!(!explanation.is_good());
/// assert_eq!(explanation.causes[0].to_string(), "path: was signed in lower case");
/// # Ok::<(), cas_sign::SignError>(())
/// ```
pub fn explain(
    request: &SignableRequest<'_>,
    authorization: &str,
    credentials: &Credentials,
    dialect: &Dialect,
    now: Option<u64>,
) -> Explanation {
    match authorization.parse() {
        Ok(authorization) => explain_parsed(request, &authorization, credentials, dialect, now),
        Err(error) => Explanation { verdict: Verdict::Unreadable(error), ..Explanation::empty() },
    }
}

/// What [`explain`] found. `Display` is the whole of it in lines of text.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Explanation {
    /// Whether the signature is the one of this request with this key.
    pub verdict: Verdict,
    /// The mistakes that together give exactly this signature. Empty when it is good or no mistake was found.
    pub causes: Vec<Finding>,
    /// Whatever else is worth knowing: what is listed and missing, what is sent and not covered, times that are over.
    pub remarks: Vec<Finding>,
    /// The format string that was expected, for comparing with the other side's. It covers what the signature lists.
    pub format_string: String,
    /// The string to sign that was expected.
    pub string_to_sign: String,
}

impl Explanation {
    /// Whether the signature is the one of this request with this key, and no time range forbids it.
    pub fn is_good(&self) -> bool {
        matches!(self.verdict, Verdict::Good(_)) && self.remarks.iter().all(|remark| remark.subject != Subject::Time)
    }

    fn empty() -> Self {
        let (causes, remarks) = (Vec::new(), Vec::new());
        Self {
            verdict: Verdict::Unexplained,
            causes,
            remarks,
            format_string: String::new(),
            string_to_sign: String::new(),
        }
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.verdict)?;
        for cause in &self.causes {
            writeln!(f, "  cause: {cause}")?;
        }
        for remark in &self.remarks {
            writeln!(f, "  note: {remark}")?;
        }
        if matches!(self.verdict, Verdict::Explained | Verdict::Unexplained) {
            writeln!(f, "expected format string:")?;
            self.format_string.lines().try_for_each(|line| writeln!(f, "  |{line}"))?;
            writeln!(f, "expected string to sign:")?;
            self.string_to_sign.lines().try_for_each(|line| writeln!(f, "  |{line}"))?;
        }
        Ok(())
    }
}

/// How a signature and a request belong together.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// The text is no signature of this scheme.
    Unreadable(AuthorizationError),
    /// The signature is the one of this request, read in this way.
    Good(Match),
    /// It is not, and the mistake was found.
    Explained,
    /// It is not, and no usual mistake explains it: the secret key is another one, or something that is covered was changed.
    Unexplained,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(error) => {
                write!(f, "the signature cannot be read: {error}")?;
                std::error::Error::source(error).map_or(Ok(()), |source| write!(f, ": {source}"))
            }
            Self::Good(_) => f.write_str("the signature is the one of this request with this key"),
            Self::Explained => f.write_str("the signature is not the one of this request, and this is why"),
            Self::Unexplained => f.write_str(
                "the signature is not the one of this request, and no usual mistake gives it: the secret key is another one, \
                 or a line of the format string differs in a value",
            ),
        }
    }
}

/// One thing that differs, or that is worth knowing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// The part of the request or of the signature that it is about.
    pub subject: Subject,
    /// What is the matter with it: the end of a sentence that begins with the subject.
    pub text: String,
}

impl Finding {
    pub(crate) fn new(subject: Subject, text: impl Into<String>) -> Self {
        Self { subject, text: text.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.subject, self.text)
    }
}

/// A part of a request or of its signature.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Subject {
    /// The method.
    Method,
    /// The path.
    Path,
    /// The header of this name.
    Header(String),
    /// The parameter of this name.
    Parameter(String),
    /// All values, and how they are encoded.
    Encoding,
    /// The lines of the format string or of the string to sign, and their order.
    Lines,
    /// One of the two time ranges.
    Time,
    /// The secret id, the secret key or the signing key.
    Key,
    /// The algorithm.
    Algorithm,
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Method => f.write_str("method"),
            Self::Path => f.write_str("path"),
            Self::Header(name) => write!(f, "header {name}"),
            Self::Parameter(name) => write!(f, "parameter {name}"),
            Self::Encoding => f.write_str("encoding"),
            Self::Lines => f.write_str("lines"),
            Self::Time => f.write_str("time"),
            Self::Key => f.write_str("key"),
            Self::Algorithm => f.write_str("algorithm"),
        }
    }
}

fn explain_parsed(
    request: &SignableRequest<'_>,
    authorization: &Authorization,
    credentials: &Credentials,
    dialect: &Dialect,
    now: Option<u64>,
) -> Explanation {
    let expected = Recipe::new(request, authorization, dialect);
    let mut explanation = Explanation {
        remarks: remarks(request, authorization, credentials, dialect, now),
        format_string: String::from_utf8_lossy(&expected.format_string()).into_owned(),
        string_to_sign: expected.string_to_sign(),
        ..Explanation::empty()
    };
    if let Some(matched) = search_every_reading(request, authorization, credentials.key(), dialect) {
        explanation.remarks.extend(unusual(&matched, dialect));
        explanation.verdict = Verdict::Good(matched);
    } else if let Some(causes) = find_mistake(request, authorization, credentials.key(), dialect) {
        explanation.causes = causes;
        explanation.verdict = Verdict::Explained;
    }
    explanation
}

/// Every reading of every dialect counts as good here; `unusual` says when it is not the dialect's own.
fn search_every_reading(
    request: &SignableRequest<'_>,
    authorization: &Authorization,
    key: &Key,
    dialect: &Dialect,
) -> Option<Match> {
    let mut verifier = Verifier { dialect: dialect.clone(), ..Verifier::cas() };
    verifier.readings.sort_by_key(|reading| *reading != dialect.reading);
    verifier.empty_values.sort_by_key(|empty| *empty != dialect.empty_values);
    verifier.search(request, authorization, &signing_key(key, authorization)?)
}

fn unusual(matched: &Match, dialect: &Dialect) -> Vec<Finding> {
    let mut findings = Vec::new();
    if matched.reading != dialect.reading {
        let text = format!(
            "parameter values were signed with reading {}, {} has {}",
            matched.reading, dialect.name, dialect.reading
        );
        findings.push(Finding::new(Subject::Encoding, text));
    }
    if matched.empty_values != dialect.empty_values {
        let text = match matched.empty_values {
            EmptyValues::Bare => "an empty value was signed without an equals sign",
            EmptyValues::WithEquals => "an empty value was signed with an equals sign",
            EmptyValues::AsWritten => "an empty value was signed as it stands in the URL",
        };
        findings.push(Finding::new(Subject::Encoding, text));
    }
    if let Some(host) = &matched.host {
        findings.push(Finding::new(Subject::Header("host".to_owned()), format!("was signed as {host:?}")));
    }
    findings
}

/// Tries every mistake alone with every reading, then every pair of mistakes.
fn find_mistake(
    request: &SignableRequest<'_>,
    authorization: &Authorization,
    key: &Key,
    dialect: &Dialect,
) -> Option<Vec<Finding>> {
    let right = Recipe::new(request, authorization, dialect);
    let read = |reading| Recipe::new(request, authorization, &Dialect { reading, ..dialect.clone() });
    let with = |right: &Recipe, mistakes: &[&Suspect]| {
        let mut recipe = right.clone();
        mistakes.iter().for_each(|mistake| mistake.commit(&mut recipe));
        recipe.gives(authorization, key)
    };
    let suspects = suspects(request, authorization, matches!(key, Key::Secret(_)));
    for right in std::iter::once(right.clone()).chain(ParameterReading::ALL.map(read)) {
        if let Some(one) = suspects.iter().find(|one| with(&right, &[one])) {
            return Some(vec![one.finding()]);
        }
    }
    let paired = &suspects[..suspects.len().min(MOST_PAIRED)];
    for (index, one) in paired.iter().enumerate() {
        for other in &paired[index + 1..] {
            if with(&right, &[one, other]) {
                return Some(vec![one.finding(), other.finding()]);
            }
        }
    }
    None
}

/// More suspects than this are tried alone only: a request with hundreds of headers shall not keep anybody busy for minutes.
const MOST_PAIRED: usize = 256;

fn remarks(
    request: &SignableRequest<'_>,
    authorization: &Authorization,
    credentials: &Credentials,
    dialect: &Dialect,
    now: Option<u64>,
) -> Vec<Finding> {
    let mut remarks = key_remarks(authorization, credentials);
    remarks.extend(time_remarks(authorization, now));
    remarks.extend(list_remarks(request, authorization, dialect));
    remarks
}

fn key_remarks(authorization: &Authorization, credentials: &Credentials) -> Vec<Finding> {
    let mut remarks = Vec::new();
    if authorization.secret_id != *credentials.secret_id() {
        let text =
            format!("signed by {}, compared with the key of {}", authorization.secret_id, credentials.secret_id());
        remarks.push(Finding::new(Subject::Key, text));
    }
    if let Key::Signing(key) = credentials.key() {
        if key.algorithm() != authorization.algorithm {
            let text =
                format!("signed with {}, the signing key is one for {}", authorization.algorithm, key.algorithm());
            remarks.push(Finding::new(Subject::Algorithm, text));
        }
        if key.key_time() != authorization.key_time {
            let text =
                format!("q-key-time is {}, the signing key is one for {}", authorization.key_time, key.key_time());
            remarks.push(Finding::new(Subject::Key, text));
        }
    }
    remarks
}

fn time_remarks(authorization: &Authorization, now: Option<u64>) -> Vec<Finding> {
    let mut remarks = Vec::new();
    let mut remark = |text| remarks.push(Finding::new(Subject::Time, text));
    let (sign_time, key_time) = (authorization.sign_time, authorization.key_time);
    if !key_time.covers(&sign_time) {
        remark(format!("q-sign-time {sign_time} is not inside q-key-time {key_time}"));
    }
    for (name, range) in [("q-sign-time", sign_time), ("q-key-time", key_time)] {
        match now {
            Some(now) if now < range.start() => remark(format!("{name} begins {} s after now", range.start() - now)),
            Some(now) if now > range.end() => remark(format!("{name} ended {} s before now", now - range.end())),
            _ => {}
        }
    }
    remarks
}

fn list_remarks(request: &SignableRequest<'_>, authorization: &Authorization, dialect: &Dialect) -> Vec<Finding> {
    let mut remarks = Vec::new();
    for name in authorization.header_list.iter() {
        match request.header(name).count() {
            0 => remarks.push(Finding::new(Subject::Header(name.to_owned()), "is listed, but the request has none")),
            1 => {}
            count => remarks.push(Finding::new(
                Subject::Header(name.to_owned()),
                format!("is listed, and the request has {count}"),
            )),
        }
    }
    for name in authorization.parameter_list.iter() {
        if !request.parameters().any(|(other, _)| decode(name.as_bytes()).eq_ignore_ascii_case(other)) {
            remarks.push(Finding::new(Subject::Parameter(name.to_owned()), "is listed, but the request has none"));
        }
    }
    for (name, _) in request.headers() {
        if HeaderPolicy::Standard.signs(name, dialect, || true) && !authorization.header_list.contains_header(name) {
            remarks.push(Finding::new(Subject::Header(name.to_ascii_lowercase()), "is sent, but not covered"));
        }
    }
    for (name, _) in request.parameters() {
        if !authorization.parameter_list.contains_parameter(name) && !Authorization::is_item(name) {
            let name = String::from_utf8_lossy(name).into_owned();
            remarks.push(Finding::new(Subject::Parameter(name), "is sent, but not covered"));
        }
    }
    remarks
}
