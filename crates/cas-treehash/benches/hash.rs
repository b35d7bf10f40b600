//! How long both hashes, the tree alone, and a file take, each as a ratio to ring's SHA-256 of the same bytes.
//!
//! `cargo xtask bench hash [--json] [--quick] [part of a row's name]…`. Every sample is a pair: ring over some bytes and
//! at once the candidate over as many others, so that what disturbs one is likely to disturb both. A row is the median
//! of the pairs. Several chains at once fill the CPU's pipes, so a busy neighbour on the same core costs them much and
//! ring nothing; pairs are therefore judged *quiet* or not, and the bars are for the quiet ones, of which each row waits
//! for a while to get enough. Both medians are printed. Run as a test, without `--bench`, everything is done once on few
//! bytes, and nothing is measured.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a benchmark is a program for one person, who reads what it prints"
)]

use std::fs::{self, File};
use std::hint::black_box;
use std::io::Write as _;
use std::num::NonZero;
use std::path::Path;
use std::time::{Duration, Instant};

use cas_treehash::parallel::{self, Threads};
use cas_treehash::{Kernel, PairHasher, PayloadHasher, ReadAt as _, TreeHasher};
use ring::digest::{Context, SHA256, digest};
use serde_json::{Value, json};

const MIB: usize = 1 << 20;

/// How many quiet pairs make a row.
const PAIRS: usize = 15;

/// A probe may take this much longer than the short ones before a pair counts as disturbed.
const QUIET: f64 = 1.08;

fn main() {
    let options = Options::parse();
    let data = pattern(options.memory);
    let mut quiet = Quiet::new();
    let mut rows = Vec::new();
    for candidate in candidates() {
        if options.wants(&candidate.name) {
            rows.push(measure(&candidate, &data, &options, &mut quiet));
            report(rows.last().unwrap(), &options);
        }
    }
    if options.wants(FILE) {
        rows.push(measure_file(&options));
        report(rows.last().unwrap(), &options);
    }
    if options.json {
        let rows: Vec<Value> = rows.iter().map(Row::to_json).collect();
        println!("{:#}", json!({ "machine": machine(), "kernel": Kernel::detect().name(), "rows": rows }));
    } else if options.measuring {
        println!("\n{}\nkernel {}; {}", machine(), Kernel::detect().name(), summary(&rows));
    }
}

/// What the command line says.
struct Options {
    measuring: bool,
    json: bool,
    /// Bytes to take slices from, so many that no cache holds them.
    memory: usize,
    /// Bytes in one sample.
    sample: usize,
    /// Bytes of the file.
    file: usize,
    /// How many pairs at least, and at most while it waits for quiet ones.
    pairs: [usize; 2],
    words: Vec<String>,
}

impl Options {
    fn parse() -> Self {
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
        let quick = has("--quick");
        let (memory, sample, file, pairs) = match (has("--bench"), quick) {
            (false, _) => (9 * MIB, 9 * MIB, 9 * MIB, [1, 1]),
            (true, true) => (128 * MIB, 8 * MIB, 256 * MIB, [PAIRS, 4 * PAIRS]),
            (true, false) => (512 * MIB, 8 * MIB, 2048 * MIB, [4 * PAIRS, 60 * PAIRS]),
        };
        let words = arguments.iter().filter(|argument| !argument.starts_with("--")).cloned().collect();
        Self { measuring: has("--bench"), json: has("--json"), memory, sample, file, pairs, words }
    }

    /// Whether a row is complete.
    fn enough(&self, pairs: usize, quiet: usize, divisor: usize) -> bool {
        let [least, most] = self.pairs.map(|pairs| pairs.div_ceil(divisor));
        pairs >= least && (quiet >= PAIRS || pairs >= most)
    }

    fn wants(&self, name: &str) -> bool {
        self.words.is_empty() || self.words.iter().any(|word| name.contains(word.as_str()))
    }
}

type Run = Box<dyn Fn(&[u8])>;

/// One thing that is measured over some bytes.
struct Candidate {
    name: String,
    /// The ratio that it must not pass, for a machine with its kernel.
    bar: Option<f64>,
    run: Run,
}

impl Candidate {
    fn new(name: impl Into<String>, bar: Option<f64>, run: impl Fn(&[u8]) + 'static) -> Self {
        Self { name: name.into(), bar, run: Box::new(run) }
    }
}

fn candidates() -> Vec<Candidate> {
    let mut candidates = vec![
        Candidate::new("peers: ring twice, all bytes and tree", None, |bytes| {
            black_box(digest(&SHA256, bytes));
            black_box(ring_tree(bytes));
        }),
        Candidate::new("peers: aws-tree-hash, tree alone", None, |bytes| {
            black_box(aws_tree_hash::calculate_tree_hash(bytes));
        }),
    ];
    for kernel in Kernel::all() {
        let [both, pair, tree] = bars(kernel);
        let name = kernel.name();
        candidates.push(Candidate::new(format!("{name}: both hashes, one body"), both, move |bytes| {
            let mut hasher = PayloadHasher::with_kernel(kernel);
            bytes.chunks(MIB).for_each(|piece| hasher.update(piece));
            black_box(hasher.finish());
        }));
        candidates.push(Candidate::new(format!("{name}: both hashes, two bodies at once"), pair, move |bytes| {
            let mut hasher = PairHasher::with_kernel(kernel);
            let (a, b) = bytes.split_at(bytes.len() / 2);
            a.chunks(MIB).zip(b.chunks(MIB)).for_each(|(a, b)| hasher.update(a, b));
            black_box(hasher.finish());
        }));
        candidates.push(Candidate::new(format!("{name}: tree alone"), tree, move |bytes| {
            let mut hasher = TreeHasher::with_kernel(kernel);
            bytes.chunks(4 * MIB).for_each(|piece| hasher.update(piece));
            black_box(hasher.finish());
        }));
    }
    candidates
}

/// The bars for both hashes of one body, of two bodies at once, and for the tree alone.
fn bars(kernel: Kernel) -> [Option<f64>; 3] {
    match kernel.name() {
        // Never slower than two passes of ring; the rest is room for noise.
        "portable" => [Some(2.05), Some(2.05), Some(1.05)],
        "x86-sha" => [Some(1.05), None, Some(0.57)],
        "x86-sha-avx512vl" => [Some(1.05), Some(0.65), Some(0.50)],
        // Nobody has timed the others yet.
        _ => [None; 3],
    }
}

/// The name of the row for a file.
const FILE: &str = "file: both hashes of every part, two threads";

/// What came out of one candidate.
struct Row {
    name: String,
    bar: Option<f64>,
    all: Vec<f64>,
    quiet: Vec<f64>,
    /// Bytes per nanosecond, the median of all samples.
    speed: f64,
}

impl Row {
    fn new(name: &str, bar: Option<f64>, bytes: usize, samples: &[(Sample, bool)]) -> Self {
        let sorted = |mut numbers: Vec<f64>| {
            numbers.sort_by(f64::total_cmp);
            numbers
        };
        let ratios = |keep: fn(bool) -> bool| {
            sorted(samples.iter().filter(|(_, quiet)| keep(*quiet)).map(|(sample, _)| sample.ratio()).collect())
        };
        let times = sorted(samples.iter().map(|(sample, _)| sample.candidate.as_secs_f64()).collect());
        Self {
            name: name.to_owned(),
            bar,
            all: ratios(|_| true),
            quiet: ratios(|quiet| quiet),
            speed: bytes as f64 / 1e9 / quantile(&times, 0.5),
        }
    }

    /// The pairs that count: the quiet ones if there are enough, otherwise all.
    fn counted(&self) -> &[f64] {
        if self.quiet.len() >= PAIRS { &self.quiet } else { &self.all }
    }

    /// Whether the bar holds, if there is one.
    fn holds(&self) -> Option<bool> {
        self.bar.map(|bar| quantile(self.counted(), 0.5) <= bar)
    }

    fn to_json(&self) -> Value {
        let of = |ratios: &[f64]| {
            let at = |place| (!ratios.is_empty()).then(|| (quantile(ratios, place) * 1e4).round() / 1e4);
            json!({ "pairs": ratios.len(), "best": at(0.0), "lower_quartile": at(0.25), "median": at(0.5), "upper_quartile": at(0.75) })
        };
        json!({
            "name": self.name, "ratio": (quantile(self.counted(), 0.5) * 1e4).round() / 1e4, "bar": self.bar, "holds": self.holds(),
            "all": of(&self.all), "quiet": of(&self.quiet), "gigabytes_per_second": (self.speed * 1e3).round() / 1e3,
        })
    }
}

/// One pair: the same number of bytes by ring and by the candidate.
struct Sample {
    ring: Duration,
    candidate: Duration,
}

impl Sample {
    fn ratio(&self) -> f64 {
        self.candidate.as_secs_f64() / self.ring.as_secs_f64()
    }
}

fn measure(candidate: &Candidate, data: &[u8], options: &Options, quiet: &mut Quiet) -> Row {
    let mut slices = data.chunks_exact(options.sample).cycle();
    let mut samples = Vec::new();
    let mut good = 0;
    // Once for the caches, the branches and the clock, without looking.
    (candidate.run)(slices.next().unwrap());
    while !options.enough(samples.len(), good, 1) {
        let before = quiet.is_quiet();
        let ring = time(|| _ = black_box(digest(&SHA256, slices.next().unwrap())));
        let candidate = time(|| (candidate.run)(slices.next().unwrap()));
        let is_quiet = quiet.is_quiet() && before;
        good += usize::from(is_quiet);
        samples.push((Sample { ring, candidate }, is_quiet));
    }
    Row::new(&candidate.name, candidate.bar, options.sample, &samples)
}

/// Compares one thread of ring over a whole file with two threads that compute both hashes of each of its parts.
fn measure_file(options: &Options) -> Row {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cas-treehash-bench");
    let mut file = File::create(&path).unwrap();
    let data = pattern(8 * MIB);
    for _ in 0..options.file / data.len() {
        file.write_all(&data).unwrap();
    }
    let size = file.metadata().unwrap().len();
    let file = File::open(&path).unwrap();
    let part = 64 * MIB as u64;
    let parts: Vec<_> = (0..size).step_by(64 * MIB).map(|start| start..size.min(start + part)).collect();
    let mut buffer = vec![0; MIB];
    let mut ring = || {
        let mut context = Context::new(&SHA256);
        for offset in (0..size).step_by(MIB) {
            file.read_exact_at(&mut buffer, offset).unwrap();
            context.update(&buffer);
        }
        black_box(context.finish());
    };
    let both = || drop(black_box(parallel::payloads(&file, &parts, Threads::new(NonZero::new(2).unwrap())).unwrap()));

    let mut samples = Vec::new();
    let mut good = 0;
    both();
    // These samples are two hundred times as long, and there is only one row of them.
    while !options.enough(samples.len(), good, 20) {
        let before = Load::look();
        let ring = wall_time(&mut ring);
        let candidate = wall_time(both);
        let is_quiet = before.is_some_and(|before| before.was_ours_alone());
        good += usize::from(is_quiet);
        samples.push((Sample { ring, candidate }, is_quiet));
    }
    drop(fs::remove_file(&path));
    let bar = Kernel::detect().name().ends_with("avx512vl").then_some(0.33);
    Row::new(FILE, bar, options.file, &samples)
}

fn wall_time(run: impl FnOnce()) -> Duration {
    let start = Instant::now();
    run();
    start.elapsed()
}

/// How long something takes on this thread, without the time in which others had its core.
fn time(run: impl FnOnce()) -> Duration {
    let before = waited();
    let elapsed = wall_time(run);
    elapsed.saturating_sub(waited().saturating_sub(before))
}

/// How long this thread was ready to run and did not so far; nothing where the system does not tell.
fn waited() -> Duration {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    Duration::from_nanos(text.split_whitespace().nth(1).and_then(|number| number.parse().ok()).unwrap_or(0))
}

/// Whether nobody else used the pipes of this core while something ran on this thread.
///
/// A short loop that keeps the vector pipes full, against one that waits for itself, is slower when a neighbour on the
/// same core fills them too, which a guest sees in no other way. It is looked at before and after.
struct Quiet {
    /// All probes so far, sorted. What is undisturbed is learned from the shorter ones, but not from the very shortest:
    /// they come about when the other loop was disturbed.
    probes: Vec<f64>,
}

impl Quiet {
    fn new() -> Self {
        let mut quiet = Self { probes: Vec::new() };
        (0..200).for_each(|_| _ = quiet.probe());
        quiet
    }

    /// Whether a probe now looks like the undisturbed ones.
    fn is_quiet(&mut self) -> bool {
        self.probe() <= quantile(&self.probes, 0.1) * QUIET
    }

    /// The full loop's time as a part of the waiting loop's.
    fn probe(&mut self) -> f64 {
        let mut lanes = black_box([1u32; 64]);
        let addends = black_box([3u32; 64]);
        let full = wall_time(|| {
            for _ in 0..2000 {
                for (lane, addend) in lanes.iter_mut().zip(black_box(&addends)) {
                    *lane = lane.wrapping_add(*addend) ^ addend;
                }
            }
        });
        black_box(lanes);
        let mut chain = black_box(1u64);
        let waiting = wall_time(|| {
            for _ in 0..4000 {
                chain = (chain ^ 5).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            }
        });
        black_box(chain);
        let found = full.as_secs_f64() / waiting.as_secs_f64();
        self.probes.insert(self.probes.partition_point(|probe| *probe < found), found);
        found
    }
}

/// How busy the machine and this process were until now, where the system tells. In ticks of the kernel's clock.
struct Load {
    busy: u64,
    all: u64,
    ours: u64,
}

impl Load {
    fn look() -> Option<Self> {
        let machine = fs::read_to_string("/proc/stat").ok()?;
        let ticks: Vec<u64> =
            machine.lines().next()?.split_whitespace().skip(1).map_while(|n| n.parse().ok()).collect();
        let all = ticks.iter().take(8).sum();
        let idle: u64 = ticks.get(3)? + ticks.get(4)?;
        let process = fs::read_to_string("/proc/self/stat").ok()?;
        let (_, fields) = process.rsplit_once(')')?;
        let mut times = fields.split_whitespace().skip(11).map_while(|n| n.parse::<u64>().ok());
        let ours = times.next()? + times.next()?;
        Some(Self { busy: all - idle, all, ours })
    }

    /// Whether others used less than a twentieth of the machine since this look.
    fn was_ours_alone(&self) -> bool {
        let Some(now) = Self::look() else { return false };
        let others = (now.busy - self.busy).saturating_sub(now.ours - self.ours);
        others * 20 < now.all - self.all
    }
}

/// The tree hash as everybody computes it: leaf after leaf with ring.
fn ring_tree(bytes: &[u8]) -> Vec<u8> {
    let hash = |bytes: &[u8]| digest(&SHA256, bytes).as_ref().to_vec();
    let mut row: Vec<Vec<u8>> = bytes.chunks(MIB).map(hash).collect();
    while row.len() > 1 {
        row = row.chunks(2).map(|pair| if pair.len() == 2 { hash(&pair.concat()) } else { pair[0].clone() }).collect();
    }
    row.swap_remove(0)
}

/// Bytes in which no MiB is like another.
fn pattern(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// A place in sorted numbers: 0 is the first, 1 the last.
fn quantile(sorted: &[f64], place: f64) -> f64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and the number of samples")]
    let index = ((sorted.len() - 1) as f64 * place).round() as usize;
    sorted[index]
}

fn report(row: &Row, options: &Options) {
    if !options.measuring {
        return;
    }
    let counted = row.counted();
    let quiet = if row.quiet.is_empty() {
        "    –".to_owned()
    } else {
        format!("{:.3} ({})", quantile(&row.quiet, 0.5), row.quiet.len())
    };
    let bar = row.bar.map_or("    –".to_owned(), |bar| format!("≤ {bar:.2}"));
    let verdict = match row.holds() {
        None => "",
        Some(true) => "holds",
        Some(false) => "MISSED",
    };
    let line = format!(
        "{:<50} {:.3} ({:<3}) {quiet:<11} {:.3}–{:.3}  {bar:<7} {verdict:<7} {:.2} GB/s",
        row.name,
        quantile(&row.all, 0.5),
        row.all.len(),
        quantile(counted, 0.25),
        quantile(counted, 0.75),
        row.speed,
    );
    if options.json { eprintln!("{line}") } else { println!("{line}") }
}

/// What the columns mean, and how many bars hold.
fn summary(rows: &[Row]) -> String {
    let bars: Vec<bool> = rows.iter().filter_map(Row::holds).collect();
    let held = bars.iter().filter(|holds| **holds).count();
    format!(
        "columns: median ratio to ring's SHA-256 of the same bytes (pairs), the same of quiet pairs, quartiles, bar, verdict, \
         speed of all pairs\n{held} of {} bars hold",
        bars.len()
    )
}

/// The CPU and what the kernels look for in it.
fn machine() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |key: &str| {
        let line = info.lines().find(|line| line.starts_with(key))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let name = field("model name").unwrap_or_else(|| "an unknown CPU".to_owned());
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let model =
        field("cpu family").zip(field("model\t")).map_or(String::new(), |(a, b)| format!(", family {a} model {b}"));
    let kernels: Vec<&str> = Kernel::all().iter().map(|kernel| kernel.name()).collect();
    format!("{name}{model}, {cores} cores, {}; kernels {}", std::env::consts::ARCH, kernels.join(", "))
}
