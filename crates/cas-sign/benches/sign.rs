//! How long one signature takes, beside the calls into `ring` that it cannot do without and beside `reqsign`, and how often it allocates.
//!
//! `cargo xtask bench sign [part of a candidate's name]…`. All candidates run in one process, turn by turn, so that a noisy moment meets all of them; what is printed is the
//! median of the turns. Memory is counted in a pass of its own. Run as a test, without `--bench`, it does one turn and measures nothing.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark is a program for one person, who reads what it prints"
)]

use std::hint::black_box;
use std::task::{Poll, Waker};
use std::time::Instant;

use cas_sign::{Authorization, Credentials, SignableRequest, Signer, SigningOptions, TimeRange, Verifier, sign};
use http::request::Parts;
use reqsign_core::SignRequest as _;

const SECRET_ID: &str = "example-secret-id";
const SECRET_KEY: &str = "CasExampleSecretKey0123456789abcd";
const NOW: u64 = 1_480_932_300;
const HASH: &str = "9bc1b2a288b26af7257a36277ae3816a7d4f16e89c1e7e77d0a5c48bad62b360";
const PATH: &str = "/-/vaults/photos/multipart-uploads/1A1S1RrfNxVuIYCcn";
const HEADERS: [(&str, &str); 5] = [
    ("host", "cas.ap-chengdu.myqcloud.com"),
    ("content-length", "16777216"),
    ("content-range", "bytes 0-16777215/*"),
    ("x-cas-content-sha256", HASH),
    ("x-cas-sha256-tree-hash", HASH),
];

/// One thing that is measured.
struct Candidate<'c> {
    name: &'static str,
    /// How often it runs in a turn, which is short: what disturbs one turn shall disturb few.
    repeats: u32,
    run: Box<dyn FnMut() + 'c>,
}

impl<'c> Candidate<'c> {
    fn new<T>(name: &'static str, mut run: impl FnMut() -> T + 'c) -> Self {
        Self { name, repeats: 100, run: Box::new(move || drop(black_box(run()))) }
    }

    /// Nanoseconds for one run.
    fn turn(&mut self) -> f64 {
        let start = Instant::now();
        (0..self.repeats).for_each(|_| (self.run)());
        start.elapsed().as_secs_f64() * 1e9 / f64::from(self.repeats)
    }
}

fn main() {
    let measuring = std::env::args().any(|argument| argument == "--bench");
    let turns = if measuring { 801 } else { 1 };

    let credentials = Credentials::new(SECRET_ID, SECRET_KEY).unwrap();
    let times = TimeRange::around(NOW, 60, 900);
    let options = SigningOptions::cas();
    let signer = Signer::new(options.clone());
    let request = request();
    let head = head();
    let signed = sign(&request, &credentials, times, &options).unwrap();
    assert_eq!(signed.format_string().len(), 328);
    let verifier = Verifier::cas();

    let mut candidates = vec![
        Candidate::new(
            FLOOR,
            unavoidable(signed.format_string(), signed.string_to_sign(), signed.signing_key().expose()),
        ),
        Candidate::new(CACHED, || signer.sign(&request, &credentials, times).unwrap()),
        Candidate::new("the request as a value, built anew for each signature", || {
            signer.sign(&self::request(), &credentials, times).unwrap()
        }),
        Candidate::new("without a signer: the signing key derived each time", || {
            sign(&request, &credentials, times, &options).unwrap()
        }),
        Candidate::new("the clone of an http head", || head.clone()),
        Candidate::new(HTTP, || {
            let mut head = head.clone();
            signer.sign_parts(&mut head, &credentials, times).unwrap();
            head
        }),
        Candidate::new(REQSIGN, reqsign(&head)),
        Candidate::new("verify", || {
            verifier.verify(&request, Some(signed.authorization()), NOW, |_| Some(credentials.key().clone()))
        }),
        Candidate::new("parse an authorization", || signed.authorization().parse::<Authorization>().unwrap()),
    ];

    // Further arguments choose candidates by a part of their name.
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    candidates.retain(|candidate| wanted.is_empty() || wanted.iter().any(|part| candidate.name.contains(part)));

    // The time is taken with the counting of memory switched off.
    let mut nanoseconds = vec![Vec::new(); candidates.len()];
    allocation_counter::opt_out(|| {
        for _ in 0..turns {
            for (candidate, turns) in candidates.iter_mut().zip(&mut nanoseconds) {
                turns.push(candidate.turn());
            }
        }
    });
    let results: Vec<(&str, f64, u64)> = candidates
        .iter_mut()
        .zip(nanoseconds)
        .map(|(candidate, turns)| {
            (candidate.name, median(turns), allocation_counter::measure(&mut *candidate.run).count_total)
        })
        .collect();
    for (name, _, allocations) in results.iter().filter(|(name, ..)| *name == CACHED) {
        assert_eq!(*allocations, 1, "{name}: the text that it returns is all that it needs memory for");
    }
    if measuring {
        report(&results);
    }
}

const FLOOR: &str = "the calls into ring that cannot be avoided";
const CACHED: &str = "signer, its key at hand";
const HTTP: &str = "an http head, cloned and signed in place";
const REQSIGN: &str = "reqsign: the same head, cloned and signed in place";

fn report(results: &[(&str, f64, u64)]) {
    println!("one signature: a format string of 328 bytes, five signed headers; medians\n");
    println!("{:>10} {:>12}  {:>8}", "ns", "allocations", "");
    for (name, nanoseconds, allocations) in results {
        println!("{nanoseconds:>10.0} {allocations:>12}  {name}");
    }
    let time = |wanted: &str| results.iter().find(|(name, ..)| *name == wanted).map_or(f64::NAN, |(_, time, _)| *time);
    println!();
    goal("signer to ring's calls", time(CACHED) / time(FLOOR), 1.3);
    goal("signer to reqsign", time(CACHED) / time(REQSIGN), 0.5);
    println!("http head to reqsign, clone for clone: {:.2}", time(HTTP) / time(REQSIGN));
}

fn goal(what: &str, ratio: f64, most: f64) {
    let verdict = if ratio <= most { "reached" } else { "missed" };
    println!("{what}: {ratio:.2} (goal: at most {most}, {verdict})");
}

fn median(mut turns: Vec<f64>) -> f64 {
    turns.sort_by(f64::total_cmp);
    turns[turns.len() / 2]
}

fn request() -> SignableRequest<'static> {
    HEADERS.iter().fold(SignableRequest::new("PUT", PATH), |request, (name, value)| request.with_header(name, *value))
}

fn head() -> Parts {
    let builder = http::Request::put(format!("https://cas.ap-chengdu.myqcloud.com{PATH}"));
    let builder = HEADERS.iter().fold(builder, |builder, (name, value)| builder.header(*name, *value));
    builder.body(()).unwrap().into_parts().0
}

/// One SHA-1 of the format string and one HMAC with a prepared key over the string to sign.
fn unavoidable(
    format_string: &str,
    string_to_sign: &str,
    signing_key: &str,
) -> impl FnMut() -> (ring::digest::Digest, ring::hmac::Tag) {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, signing_key.as_bytes());
    let (format_string, string_to_sign) = (format_string.to_owned(), string_to_sign.to_owned());
    move || {
        let digest = ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, black_box(format_string.as_bytes()));
        (digest, ring::hmac::sign(&key, black_box(string_to_sign.as_bytes())))
    }
}

/// Signs a clone of the head; its signer is asynchronous, but never waits.
fn reqsign(head: &Parts) -> impl FnMut() -> Parts {
    let signer = reqsign_tencent_cos::RequestSigner::new();
    let mut credential = reqsign_tencent_cos::Credential::default();
    (credential.secret_id, credential.secret_key) = (SECRET_ID.to_owned(), SECRET_KEY.to_owned());
    let context = reqsign_core::Context::new();
    move || {
        let mut head = head.clone();
        let polled = {
            let signing = std::pin::pin!(signer.sign_request(&context, &mut head, Some(&credential), None));
            signing.poll(&mut std::task::Context::from_waker(Waker::noop()))
        };
        assert!(matches!(polled, Poll::Ready(Ok(()))));
        head
    }
}
