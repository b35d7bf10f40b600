//! Ctrl-C and trouble on the way: what is kept, what is told, and that the command that is told goes on.

use std::process::{Child, Command};
use std::time::Duration;

use cas_emulator::{Account, Builder, Emulator, Fault, FaultRule, JobDelay};
use cas_http::Timestamp;
use serde_json::json;
use tokio::runtime::Runtime;

use crate::folder::{CAS, Folder, Run, SIZE, TREE_HASH, pattern, text};

/// An emulator in this process, whose faults and clock a test can reach.
struct Service {
    emulator: Emulator,
    // Serves as long as it lives.
    _runtime: Runtime,
}

impl Service {
    fn start() -> Self {
        Self::of(Emulator::builder())
    }

    fn of(builder: Builder) -> Self {
        let runtime = Runtime::new().unwrap();
        let emulator = runtime.block_on(builder.start()).unwrap();
        Service { emulator, _runtime: runtime }
    }

    /// A folder whose environment leads here, with a vault and a file.
    fn folder(&self) -> Folder {
        let folder = Folder::with_keys(self.emulator.endpoint(), self.emulator.secret_id(), self.emulator.secret_key());
        folder.cas("vault create films").ok();
        folder.write("my film", pattern(SIZE));
        folder
    }

    /// From the request after the first `good` ones on, requests of this operation get no answer.
    fn hang(&self, operation: &str, good: u64) {
        let hours = Fault::Delay(Duration::from_secs(3600));
        self.emulator.faults().add(FaultRule::new(hours).operation(operation).skip(good));
    }

    /// Waits until a request of this process hangs.
    #[track_caller]
    fn wait_until_it_hangs(&self, child: &mut Child) {
        while self.emulator.faults().fired() == 0 {
            assert_eq!(child.try_wait().unwrap(), None, "it ended before it hung");
            std::thread::yield_now();
        }
    }

    /// Begins an upload of seven parts that hangs in the fourth.
    fn upload_that_hangs(&self, folder: &Folder) -> Child {
        self.hang("UploadPart", 3);
        let words = ["upload", "films", "my film", "--part-size", "1M", "--parts-in-flight", "1"];
        let mut child = folder.command(CAS, &words).spawn().unwrap();
        self.wait_until_it_hangs(&mut child);
        child
    }
}

/// Presses Ctrl-C, and waits for the end.
fn interrupt(folder: &Folder, child: Child) -> Run {
    let pressed = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(pressed.success());
    folder.finish("(interrupted)".to_owned(), child.wait_with_output().unwrap())
}

/// The command that a stopped one tells.
#[track_caller]
fn command_to_go_on(run: &Run) -> String {
    let line = run.stderr.lines().find_map(|line| line.split_once("go on with: "));
    line.unwrap_or_else(|| panic!("no command in\n{}", run.stderr)).1.to_owned()
}

#[test]
fn an_interrupted_upload_goes_on_where_it_was() {
    let service = Service::start();
    let folder = service.folder();
    let child = service.upload_that_hangs(&folder);
    let run = interrupt(&folder, child).ends_with(7).complains("was stopped after 3 of 7 parts");

    service.emulator.faults().clear();
    let command = command_to_go_on(&run);
    assert!(command.starts_with("cas upload --resume ") && command.ends_with(" films 'my film'"), "{command}");
    folder.cas("multipart list films").ok().says("1.0 MiB");
    let uploaded = folder.paste(&format!("{command} --json")).ok().json();
    assert_eq!((&uploaded["parts"], &uploaded["parts_sent"]), (&json!(7), &json!(4)));
    assert_eq!(text(&uploaded, "tree_hash"), TREE_HASH);
}

#[test]
fn an_upload_that_is_killed_loses_no_part_that_was_acknowledged() {
    let service = Service::start();
    let folder = service.folder();
    let mut child = service.upload_that_hangs(&folder);
    child.kill().unwrap();
    let run = folder.finish("(killed)".to_owned(), child.wait_with_output().unwrap());

    service.emulator.faults().clear();
    let command = run.stderr.lines().find_map(|line| line.split_once("should it be cut off: ")).unwrap().1;
    let uploaded = folder.paste(&format!("{command} --json")).ok().json();
    assert_eq!((&uploaded["parts"], &uploaded["parts_sent"]), (&json!(7), &json!(4)));
    assert_eq!(text(&uploaded, "tree_hash"), TREE_HASH);
}

#[test]
fn an_upload_that_the_service_stops_goes_on_too() {
    let service = Service::start();
    let folder = service.folder();
    let full = Fault::answer(http::StatusCode::BAD_REQUEST, "LimitExceededException", "too much");
    service.emulator.faults().add(FaultRule::new(full).operation("UploadPart").skip(2));
    let run = folder.run(&["upload", "films", "my film", "--part-size", "1M", "--parts-in-flight", "1"]).ends_with(7);
    let run = run.complains("stopped at part 3 of 7").complains("LimitExceededException").complains("quota");
    let command = command_to_go_on(&run);
    service.emulator.faults().clear();
    folder.paste(&command).ok().says("2 of them there already");
}

#[test]
fn an_upload_whose_end_nobody_knows_is_not_said_to_be_kept() {
    let service = Service::start();
    let folder = service.folder();
    service.emulator.faults().add(FaultRule::new(Fault::LoseAnswer).operation("CompleteMultipartUpload"));
    let run = folder.run(&["upload", "films", "my film", "--part-size", "1M"]).ends_with(1).complains(TREE_HASH);
    let run = run.complains("cas inventory");
    assert!(!run.stderr.contains("go on with"), "{}", run.stderr);
}

#[test]
fn an_upload_of_another_file_is_not_gone_on_with() {
    let service = Service::start();
    let folder = service.folder();
    let child = service.upload_that_hangs(&folder);
    let command = command_to_go_on(&interrupt(&folder, child));
    service.emulator.faults().clear();
    folder.write("my film", pattern(1 << 20));
    let run = folder.paste(&command).ends_with(1).complains("the upload of something else");
    assert!(!run.stderr.contains("go on with"), "{}", run.stderr);
}

#[test]
fn an_upload_in_one_request_leaves_nothing_when_it_is_interrupted() {
    let service = Service::start();
    let folder = service.folder();
    service.hang("UploadArchive", 0);
    let mut child = folder.command(CAS, &["upload", "films", "my film", "--json"]).spawn().unwrap();
    service.wait_until_it_hangs(&mut child);
    let error = interrupt(&folder, child).ends_with(130).error();
    assert_eq!((text(&error, "kind").as_str(), &error["upload_id"]), ("interrupted", &json!(null)));
}

/// Stops a download of two ranges in the second one, goes on with the command that `stop` gives, and looks whether only that range is fetched.
fn stop_and_go_on(stop: impl FnOnce(&Folder, Child, String) -> String) {
    let service = Service::start();
    let folder = service.folder();
    // Two ranges of 32 MiB at most.
    let film = pattern(33 << 20);
    folder.write("my film", &film);
    let archive = text(&folder.run(&["upload", "films", "my film", "--json"]).ok().json(), "archive_id");
    let job = text(&folder.cas(&format!("retrieve films {archive} --no-wait --json")).ok().json(), "job_id");
    service.hang("GetJobOutput", 1);
    let words = ["fetch", "films", &job, "film back", "--ranges-in-flight", "1"];
    let mut child = folder.command(CAS, &words).spawn().unwrap();
    service.wait_until_it_hangs(&mut child);
    let command = stop(&folder, child, format!("cas fetch films {job} 'film back'"));
    assert!(folder.exists("film back.cas-part") && !folder.exists("film back"));

    service.emulator.faults().clear();
    let fetched = folder.paste(&format!("{command} --json")).ok().json();
    assert_eq!((&fetched["ranges"], &fetched["ranges_fetched"]), (&json!(2), &json!(1)));
    assert!(folder.read("film back") == film);
    assert!(!folder.exists("film back.cas-part") && !folder.exists("film back.cas-journal"));
}

#[test]
fn an_interrupted_download_goes_on_where_it_was() {
    stop_and_go_on(|folder, child, _| {
        let run = interrupt(folder, child).ends_with(7).complains("download of film back was stopped");
        command_to_go_on(&run)
    });
}

#[test]
fn a_download_that_is_killed_goes_on_with_the_same_command() {
    stop_and_go_on(|_, mut child, same_command| {
        child.kill().unwrap();
        child.wait().unwrap();
        same_command
    });
}

#[test]
fn an_interrupted_wait_says_how_to_wait_again() {
    let service = Service::of(Emulator::builder().job_delay(JobDelay::ByTier));
    let folder = service.folder();
    let archive = text(&folder.run(&["upload", "films", "my film", "--json"]).ok().json(), "archive_id");
    // The job is described when it is started; the first look after that gets no answer.
    service.hang("DescribeJob", 1);
    let mut child = folder.command(CAS, &["retrieve", "films", &archive, "-o", "back"]).spawn().unwrap();
    service.wait_until_it_hangs(&mut child);
    let run = interrupt(&folder, child).ends_with(7).complains("the job is not");
    service.emulator.faults().clear();
    service.emulator.clock().advance(Duration::from_secs(5 * 3600));
    folder.paste(&command_to_go_on(&run)).ok().says("Succeeded");
}

#[test]
fn wrong_bytes_from_the_service_are_not_kept() {
    let service = Service::start();
    let folder = service.folder();
    let archive = text(&folder.run(&["upload", "films", "my film", "--json"]).ok().json(), "archive_id");
    let job = text(&folder.cas(&format!("retrieve films {archive} --no-wait --json")).ok().json(), "job_id");
    service.emulator.faults().add(FaultRule::new(Fault::FlipByte { at: 1000 }).operation("GetJobOutput"));
    let run = folder.cas(&format!("fetch films {job} back")).ends_with(6).complains("tree hash");
    assert!(!folder.exists("back"));
    service.emulator.faults().clear();
    folder.paste(&command_to_go_on(&run)).ok();
    assert_eq!(folder.read("back"), pattern(SIZE));
}

#[test]
fn a_service_that_stored_other_bytes_is_found_out() {
    let service = Service::start();
    let folder = service.folder();
    service.emulator.faults().add(FaultRule::new(Fault::WrongTreeHash).operation("UploadPart"));
    let error = folder.run(&["upload", "films", "my film", "--part-size", "1M", "--json"]).ends_with(6).error();
    assert_eq!(text(&error, "kind"), "integrity");
    assert!(!text(&error, "upload_id").is_empty());
}

#[test]
fn a_clock_that_is_off_is_learned_from_the_service() {
    let service = Service::start();
    let folder = service.folder();
    service.emulator.clock().set_signing_offset(3 * 3600);
    folder.cas("vault list").ok().says("films");
}

#[test]
fn a_time_that_is_over_is_blamed_on_the_clock_and_not_on_the_key() {
    let service = Service::start();
    let folder = service.folder();
    // A century off: so wrong a clock teaches nothing.
    service.emulator.clock().set_signing_offset(100 * 365 * 86_400);
    let run = folder.cas("vault list").ends_with(3).complains("InvalidSignatureException");
    let run = run.complains("is the clock right? this machine says 20");
    assert!(!run.stderr.contains("secret key"), "{}", run.stderr);
}

#[test]
fn temporary_credentials_that_have_ended_are_told() {
    let ended: Timestamp = "2024-03-01T02:00:00Z".parse().unwrap();
    let account = Account::default().temporary("the-token", ended).unwrap();
    let service = Service::of(Emulator::builder().account(account));
    let mut folder =
        Folder::with_keys(service.emulator.endpoint(), service.emulator.secret_id(), service.emulator.secret_key());
    folder.set("TENCENTCLOUD_TOKEN", "the-token");
    folder.cas("vault list").ends_with(3).complains("ExpiredTokenException").complains("get new ones");
    assert!(!folder.printed().contains("the-token"));
}
