//! Why a command failed, in words and as an exit code: one line for each level of the error, and what to do about it.

use std::error::Error;
use std::fmt;
use std::time::SystemTime;

use cas_http::credentials::CredentialsError;
use cas_http::error_body::code;
use cas_http::{Clock as _, InvalidValue, ServiceError, SystemClock, Timestamp};
use cas_objects::ErrorKind;
use cas_sign::{AuthorizationError, SignError};
use serde_json::{Value, json};

/// The exit codes, as `docs/cli.md` lists them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Code {
    Done = 0,
    Failed = 1,
    Usage = 2,
    Credentials = 3,
    NotFound = 4,
    Busy = 5,
    Integrity = 6,
    Resumable = 7,
    NotReady = 75,
    Interrupted = 130,
}

impl From<Code> for std::process::ExitCode {
    fn from(code: Code) -> Self {
        (code as u8).into()
    }
}

/// What a command can end with besides success.
#[derive(Debug)]
pub(crate) struct Failure {
    /// What we were doing, where the error below does not say it.
    doing: Option<String>,
    error: Box<dyn Error + Send + Sync>,
    go_on: Option<GoOn>,
}

/// What of a stopped command is kept, and the command that goes on with it.
#[derive(Debug)]
struct GoOn {
    kept: String,
    command: String,
}

impl Failure {
    /// Says what we were doing when it came up.
    pub(crate) fn doing(mut self, what: impl Into<String>) -> Self {
        self.doing = Some(what.into());
        self
    }

    /// Says what is kept ("the upload") and which command goes on with it.
    pub(crate) fn keeping(mut self, kept: impl Into<String>, command: impl Into<String>) -> Self {
        self.go_on = Some(GoOn { kept: kept.into(), command: command.into() });
        self
    }

    /// The error itself, if it is one of cas-objects.
    pub(crate) fn objects(&self) -> Option<&cas_objects::Error> {
        self.error.downcast_ref()
    }
}

impl<E: Error + Send + Sync + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        Failure { doing: None, error: Box::new(error), go_on: None }
    }
}

/// What goes wrong in the program itself.
#[derive(Debug)]
pub(crate) enum Problem {
    /// The command makes no sense as it was typed.
    Usage(String),
    /// A file or the terminal is not as it has to be.
    Input(String),
    /// The answer to a question was no.
    Declined,
    /// Somebody pressed Ctrl-C; the text says what was stopped.
    Interrupted(String),
    /// Bytes are not the ones they should be.
    Differs(String),
    /// A file was not the same at the end as at the beginning.
    Changed(String),
    /// A signature does not fit its request, or not now.
    SignatureDiffers,
    /// Some of several things failed, each of which has been told already.
    Several { failed: usize, of: usize, worst: Code },
    /// Whoever read our output has gone.
    OutputClosed,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::Usage(what)
            | Problem::Input(what)
            | Problem::Interrupted(what)
            | Problem::Differs(what)
            | Problem::Changed(what) => f.write_str(what),
            Problem::Declined => f.write_str("nothing was done"),
            Problem::SignatureDiffers => f.write_str("the signature is not good for this request now"),
            Problem::Several { failed, of, .. } => write!(f, "{failed} of {of} failed"),
            Problem::OutputClosed => f.write_str("nobody reads the output any more"),
        }
    }
}

impl Error for Problem {}

/// A failure as it is told: a headline, the levels below it, what to do, and the facts for programs.
#[derive(Debug)]
pub(crate) struct Report {
    /// The exit code.
    pub(crate) code: Code,
    /// Whether there is anything to tell.
    pub(crate) is_silent: bool,
    kind: String,
    lines: Vec<String>,
    advice: Vec<String>,
    go_on: Option<String>,
    service: Option<ServiceError>,
    request_id: Option<String>,
    upload_id: Option<String>,
}

impl Report {
    /// What to tell of a failure.
    pub(crate) fn of(failure: &Failure) -> Self {
        let Judgement { code, kind, advice } = judge(&*failure.error);
        let api = api_error(&*failure.error);
        let is_resumable = failure.go_on.is_some() && matches!(code, Code::Failed | Code::Busy | Code::Interrupted);
        Report {
            code: if is_resumable { Code::Resumable } else { code },
            is_silent: matches!(failure.error.downcast_ref(), Some(Problem::OutputClosed)),
            kind,
            lines: levels(failure),
            advice,
            go_on: failure.go_on.as_ref().map(|go_on| format!("{} is kept; go on with: {}", go_on.kept, go_on.command)),
            service: api.and_then(cas_api::Error::service).cloned(),
            request_id: api.and_then(cas_api::Error::request_id).map(ToString::to_string),
            upload_id: failure.objects().and_then(cas_objects::Error::upload_id).map(ToString::to_string),
        }
    }

    /// The failure as one JSON object.
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "kind": self.kind,
            "message": self.lines.join(": "),
            "code": self.service.as_ref().and_then(|error| error.code.as_deref()),
            "status": self.service.as_ref().map(|error| error.status.as_u16()),
            "request_id": self.request_id,
            "upload_id": self.upload_id,
            "exit_code": self.code as u8,
            "advice": self.advice.iter().chain(&self.go_on).collect::<Vec<_>>(),
        })
    }
}

/// The lines for people: the headline, and all others set in.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = self.lines.iter();
        writeln!(f, "{}", lines.next().map_or("it failed", String::as_str))?;
        lines.chain(&self.advice).chain(&self.go_on).try_for_each(|line| writeln!(f, "  {line}"))
    }
}

/// One line for each level, from what was done down to the root; a level that only repeats the one above it is left out.
fn levels(failure: &Failure) -> Vec<String> {
    let mut lines: Vec<String> = failure.doing.iter().cloned().collect();
    let mut level: Option<&dyn Error> = Some(&*failure.error);
    while let Some(error) = level {
        let line = error.to_string();
        if lines.last() != Some(&line) {
            lines.push(line);
        }
        level = error.source();
    }
    lines
}

/// What a failure means for whoever typed the command.
struct Judgement {
    code: Code,
    kind: String,
    advice: Vec<String>,
}

impl Judgement {
    fn new(code: Code, kind: impl Into<String>) -> Self {
        Judgement { code, kind: kind.into(), advice: Vec::new() }
    }

    fn advise(mut self, line: impl Into<String>) -> Self {
        self.advice.push(line.into());
        self
    }
}

fn judge(error: &(dyn Error + Send + Sync + 'static)) -> Judgement {
    if let Some(problem) = error.downcast_ref::<Problem>() {
        judge_problem(problem)
    } else if let Some(error) = error.downcast_ref::<cas_objects::Error>() {
        judge_objects(error)
    } else if let Some(error) = error.downcast_ref::<cas_api::Error>() {
        judge_api(error)
    } else if let Some(error) = error.downcast_ref::<cas_http::Error>() {
        judge_transport(error.kind())
    } else if let Some(error) = error.downcast_ref::<CredentialsError>() {
        judge_credentials(error.is_absent())
    } else if error.is::<InvalidValue>() || error.is::<SignError>() || error.is::<AuthorizationError>() {
        Judgement::new(Code::Usage, "usage")
    } else {
        Judgement::new(Code::Failed, "local-io")
    }
}

/// The error of a typed call in or under an error.
fn api_error<'e>(error: &'e (dyn Error + Send + Sync + 'static)) -> Option<&'e cas_api::Error> {
    error.downcast_ref::<cas_objects::Error>().and_then(cas_objects::Error::api).or_else(|| error.downcast_ref())
}

fn judge_problem(problem: &Problem) -> Judgement {
    match problem {
        Problem::Usage(_) => Judgement::new(Code::Usage, "usage"),
        Problem::Input(_) => Judgement::new(Code::Failed, "invalid-input"),
        Problem::Declined => Judgement::new(Code::Failed, "declined"),
        Problem::Interrupted(_) => Judgement::new(Code::Interrupted, "interrupted"),
        Problem::Differs(_) => Judgement::new(Code::Integrity, "integrity"),
        Problem::Changed(_) => {
            Judgement::new(Code::Integrity, "source-changed").advise("let the file come to rest, then try again")
        }
        Problem::SignatureDiffers => Judgement::new(Code::Failed, "signature"),
        Problem::Several { worst, .. } => Judgement::new(*worst, "several"),
        Problem::OutputClosed => Judgement::new(Code::Done, "output-closed"),
    }
}

fn judge_objects(error: &cas_objects::Error) -> Judgement {
    match error.kind() {
        ErrorKind::Api(_) => error.api().map_or_else(|| Judgement::new(Code::Failed, "service"), judge_api),
        ErrorKind::InvalidInput => Judgement::new(Code::Failed, "invalid-input"),
        ErrorKind::Integrity => Judgement::new(Code::Integrity, "integrity")
            .advise("the wrong bytes were thrown away; try again, and if it stays ask the service's support"),
        ErrorKind::SourceChanged => {
            Judgement::new(Code::Integrity, "source-changed").advise("let the file come to rest, then try again")
        }
        ErrorKind::NotReady => Judgement::new(Code::NotReady, "not-ready")
            .advise("look again later, or wait with: cas job wait VAULT JOB_ID"),
        ErrorKind::JobFailed => Judgement::new(Code::Failed, "job-failed").advise("start another job"),
        ErrorKind::Checkpoint => Judgement::new(Code::Failed, "checkpoint"),
        _ => Judgement::new(Code::Failed, "local-io"),
    }
}

fn judge_api(error: &cas_api::Error) -> Judgement {
    match error.kind() {
        cas_api::ErrorKind::NotFound => Judgement::new(Code::NotFound, "not-found").advise(where_to_look(error)),
        cas_api::ErrorKind::Denied => judge_denied(error),
        cas_api::ErrorKind::Refused => judge_refused(error),
        cas_api::ErrorKind::Throttled => {
            Judgement::new(Code::Busy, "throttled").advise("the service asks to slow down: wait a minute and try again")
        }
        cas_api::ErrorKind::Unavailable => {
            Judgement::new(Code::Busy, "unavailable").advise("the service has trouble of its own: try again later")
        }
        cas_api::ErrorKind::Ambiguous => Judgement::new(Code::Failed, "ambiguous").advise(format!(
            "nobody knows whether it happened; before trying again look with: {}",
            look_first(error.operation().unwrap_or_default())
        )),
        cas_api::ErrorKind::Transport(kind) => judge_transport(kind),
        _ => Judgement::new(Code::Failed, "decode")
            .advise("something other than the service answered, or it has changed; is the endpoint the right one?"),
    }
}

/// The command that lists what the operation is about.
fn where_to_look(error: &cas_api::Error) -> &'static str {
    match error.operation().unwrap_or_default() {
        "DescribeJob" | "GetJobOutput" => {
            "a job and its output live for a day or so; see what there is with: cas job list VAULT"
        }
        "UploadPart" | "ListParts" | "CompleteMultipartUpload" | "AbortMultipartUpload" => {
            "an unfinished upload lives for 24 hours; see what there is with: cas multipart list VAULT"
        }
        "DeleteArchive" | "InitiateJob" => "see what there is with: cas vault list, cas inventory VAULT",
        _ => "see what there is with: cas vault list",
    }
}

/// The command that tells whether an operation happened.
fn look_first(operation: &str) -> &'static str {
    match operation {
        "InitiateJob" => "cas job list VAULT",
        "InitiateMultipartUpload" => "cas multipart list VAULT",
        "UploadArchive" | "CompleteMultipartUpload" => "cas inventory VAULT",
        _ => "cas vault list",
    }
}

fn judge_denied(error: &cas_api::Error) -> Judgement {
    let denied = Judgement::new(Code::Credentials, "denied");
    match error.code().unwrap_or_default() {
        code::INVALID_SIGNATURE => {
            let message = error.service().and_then(|error| error.message.as_deref()).unwrap_or_default();
            let is_time = ["expire", "time", "not yet"].iter().any(|word| message.to_lowercase().contains(word));
            let key = "is the secret key the one of this secret id? to compare signatures: cas sign METHOD PATH … --explain AUTHORIZATION";
            if is_time { denied.advise(clock()) } else { denied.advise(key).advise(clock()) }
        }
        code::UNRECOGNIZED_CLIENT => denied.advise("the service does not know the secret id: check --secret-id, TENCENTCLOUD_SECRET_ID or the profile"),
        code::EXPIRED_TOKEN => denied.advise("the temporary credentials have ended: get new ones"),
        code::MISSING_AUTHENTICATION_TOKEN => denied.advise("the signature did not arrive: does a proxy drop the Authorization header?"),
        _ => denied.advise("the credentials are good and do not allow this: check the access policy, and that --app-id is the account that owns the vault"),
    }
}

/// What our clock says, for comparing.
fn clock() -> String {
    let now: SystemTime = SystemClock.now();
    match Timestamp::try_from(now) {
        Ok(now) => format!("is the clock right? this machine says {}", now.to_whole_seconds()),
        Err(_) => "is the clock right?".to_owned(),
    }
}

fn judge_refused(error: &cas_api::Error) -> Judgement {
    let message = error.service().and_then(|error| error.message.as_deref()).unwrap_or_default().to_lowercase();
    match (error.operation().unwrap_or_default(), error.code().unwrap_or_default()) {
        ("DeleteVault", code::BAD_REQUEST) => Judgement::new(Code::Busy, "conflict")
            .advise("a vault must be empty: delete its archives (cas inventory VAULT) and unfinished uploads (cas multipart list VAULT)"),
        (_, code::LIMIT_EXCEEDED) => Judgement::new(Code::Busy, "conflict").advise("a quota is used up: delete something, or ask the service for more"),
        ("UploadArchive" | "UploadPart" | "CompleteMultipartUpload", _) if message.contains("hash") => {
            Judgement::new(Code::Integrity, "integrity").advise("the service got other bytes than were sent: try again, and if it stays look for a proxy that changes them")
        }
        _ => Judgement::new(Code::Failed, "refused"),
    }
}

fn judge_transport(kind: cas_http::ErrorKind) -> Judgement {
    match kind {
        cas_http::ErrorKind::Config => Judgement::new(Code::Usage, "config"),
        cas_http::ErrorKind::Credentials => judge_credentials(false),
        cas_http::ErrorKind::Connect | cas_http::ErrorKind::Tls => Judgement::new(Code::Failed, kind.to_string())
            .advise("is the endpoint the right one, and is there a network? without an account: --local"),
        cas_http::ErrorKind::Timeout(_) | cas_http::ErrorKind::Disconnected => {
            Judgement::new(Code::Failed, kind.to_string()).advise("the network is slow or broken: try again")
        }
        kind => Judgement::new(Code::Failed, kind.to_string()),
    }
}

fn judge_credentials(are_absent: bool) -> Judgement {
    let judgement = Judgement::new(Code::Credentials, "credentials");
    if are_absent {
        judgement
            .advise("give them as TENCENTCLOUD_SECRET_ID and TENCENTCLOUD_SECRET_KEY, in ~/.tencentcloud/credentials, or with --secret-id and --secret-key")
            .advise("without an account: --local, or cas demo")
    } else {
        judgement
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Level(&'static str, Option<Box<Level>>);

    impl fmt::Display for Level {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
    }

    impl Error for Level {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            self.1.as_deref().map(|level| level as _)
        }
    }

    fn three_levels() -> Failure {
        let root = Level("x-cas-sha256-tree-hash: missing", None);
        let call = Level("UploadPart: the answer could not be read (1 try, 1.4 s)", Some(Box::new(root)));
        Level("upload of backup.tar stopped at part 17 of 40", Some(Box::new(call))).into()
    }

    #[test]
    fn each_level_is_a_line_and_what_is_kept_the_last() {
        let failure = three_levels().keeping("the upload", "cas upload --resume 9c1e photos backup.tar");
        let report = Report::of(&failure);
        assert_eq!(
            report.to_string(),
            "upload of backup.tar stopped at part 17 of 40\n  \
             UploadPart: the answer could not be read (1 try, 1.4 s)\n  \
             x-cas-sha256-tree-hash: missing\n  \
             the upload is kept; go on with: cas upload --resume 9c1e photos backup.tar\n"
        );
        assert_eq!(report.code, Code::Resumable);
    }

    #[test]
    fn a_level_that_repeats_the_one_above_is_told_once() {
        let failure = Failure::from(Level("the same", None)).doing("the same");
        assert_eq!(Report::of(&failure).to_string(), "the same\n");
    }

    #[test]
    fn programs_get_the_facts() {
        let json = Report::of(&three_levels()).to_json();
        assert_eq!(json["exit_code"], 1);
        assert_eq!(json["kind"], "local-io");
        assert_eq!(json["code"], Value::Null);
        assert!(json["message"].as_str().unwrap().ends_with("(1 try, 1.4 s): x-cas-sha256-tree-hash: missing"));
    }

    #[test]
    fn problems_have_their_codes() {
        for (problem, code) in [
            (Problem::Usage(String::new()), 2),
            (Problem::Interrupted(String::new()), 130),
            (Problem::Differs(String::new()), 6),
            (Problem::Several { failed: 1, of: 2, worst: Code::NotFound }, 4),
            (Problem::OutputClosed, 0),
            (Problem::Declined, 1),
        ] {
            assert_eq!(Report::of(&problem.into()).code as u8, code);
        }
    }

    #[test]
    fn missing_credentials_are_explained() {
        let report = Report::of(&CredentialsError::absent("credentials", "no source has any").into());
        assert_eq!(report.code, Code::Credentials);
        assert!(report.to_string().contains("--local"), "{report}");
    }
}
