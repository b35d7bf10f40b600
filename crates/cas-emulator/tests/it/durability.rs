//! What survives: a restart, a second emulator on the same directory, damage on the disk.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cas_emulator::{Emulator, ErrorKind, JobDelay, fsck};
use serde_json::json;

use crate::wire::{Call, connect, pattern};

const MIB: usize = 1 << 20;

async fn on(directory: &Path) -> Emulator {
    Emulator::builder().without_port().data_dir(directory).start().await.unwrap()
}

/// The files of bytes in a data directory.
fn files(directory: &Path) -> Vec<PathBuf> {
    let folders = fs::read_dir(directory.join("blobs")).unwrap();
    let files = folders.flat_map(|folder| fs::read_dir(folder.unwrap().path()).unwrap());
    files.map(|file| file.unwrap().path()).collect()
}

#[tokio::test]
async fn a_restart_finds_everything_that_was_acknowledged() {
    let directory = tempfile::tempdir().unwrap();
    let bytes = pattern(3 * MIB + 5);
    let emulator = on(directory.path()).await;
    let mut wire = connect(&emulator);
    wire.create_vault("photos").await;
    let archive = wire.upload("photos", &bytes).await;
    let upload = wire.initiate_upload("photos", MIB as u64).await;
    wire.upload_part("photos", &upload, 0, &bytes[..MIB]).await.expect(204);
    let done = wire.job("photos", json!({"Type": "archive-retrieval", "ArchiveId": archive})).await;
    let described = wire.describe_job("photos", &done).await;
    let inventory = wire.job("photos", json!({"Type": "inventory-retrieval"})).await;
    let listed = wire.output("photos", &inventory, None).await.body;
    emulator.shutdown().await.unwrap();

    let emulator = on(directory.path()).await;
    let mut wire = connect(&emulator);
    assert_eq!(wire.describe_job("photos", &done).await, described);
    assert!(wire.output("photos", &done, None).await.expect(200).body == bytes);
    assert_eq!(wire.output("photos", &inventory, None).await.body, listed);
    for start in [MIB, 2 * MIB, 3 * MIB] {
        let part = &bytes[start..(start + MIB).min(bytes.len())];
        wire.upload_part("photos", &upload, start, part).await.expect(204);
    }
    wire.complete("photos", &upload, &bytes).await.expect(201);
    emulator.shutdown().await.unwrap();
    let report = fsck(directory.path()).unwrap();
    assert!(report.is_clean(), "{report}");
    assert_eq!((report.archives, report.leftovers), (2, 0));
}

#[tokio::test]
async fn a_job_goes_on_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let start = || {
        let delay = JobDelay::Fixed(Duration::from_secs(3600));
        Emulator::builder().without_port().data_dir(directory.path()).job_delay(delay).start()
    };
    let emulator = start().await.unwrap();
    let mut wire = connect(&emulator);
    wire.create_vault("photos").await;
    emulator.cos().put("b", "o", b"from cos").unwrap();
    let archive = wire.upload("photos", b"hello").await;
    let retrieval = wire.job("photos", json!({"Type": "archive-retrieval", "ArchiveId": archive})).await;
    let push = json!({"Type": "push-to-cos", "ArchiveId": archive, "Bucket": "b", "Object": "p"});
    let push = wire.job("photos", push).await;
    emulator.shutdown().await.unwrap();

    let emulator = start().await.unwrap();
    emulator.clock().advance(Duration::from_secs(3600));
    let mut wire = connect(&emulator);
    assert_eq!(wire.output("photos", &retrieval, None).await.expect(200).body, b"hello");
    while wire.describe_job("photos", &push).await["Completed"] != true {
        tokio::task::yield_now().await;
    }
    assert_eq!(emulator.cos().get("b", "p").unwrap(), b"hello");
}

/// A job's time goes on while no emulator runs.
#[tokio::test]
async fn a_job_whose_time_was_over_while_no_process_ran_ended_then() {
    let directory = tempfile::tempdir().unwrap();
    let at = |time: &str| {
        let clock = cas_emulator::Clock::manual(time.parse().unwrap());
        let delay = JobDelay::Fixed(Duration::from_secs(3600));
        Emulator::builder().without_port().data_dir(directory.path()).clock(clock).job_delay(delay).start()
    };
    let emulator = at("2024-03-01T00:00:00Z").await.unwrap();
    let mut wire = connect(&emulator);
    wire.create_vault("photos").await;
    let archive = wire.upload("photos", b"hello").await;
    let job = wire.job("photos", json!({"Type": "archive-retrieval", "ArchiveId": archive})).await;
    emulator.shutdown().await.unwrap();

    let emulator = at("2024-03-01T12:00:00Z").await.unwrap();
    let mut wire = connect(&emulator);
    assert_eq!(wire.describe_job("photos", &job).await["CompletionDate"], "2024-03-01T01:00:00.000Z");
    assert_eq!(wire.output("photos", &job, None).await.expect(200).body, b"hello");
    emulator.shutdown().await.unwrap();
    let emulator = at("2024-03-02T01:00:00Z").await.unwrap();
    assert_eq!(connect(&emulator).output("photos", &job, None).await.error(), "404 ResourceNotFoundException");
}

/// S11.
#[tokio::test]
async fn s11_a_second_emulator_on_one_directory_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let first = on(directory.path()).await;
    let second = Emulator::builder().without_port().data_dir(directory.path()).start().await.unwrap_err();
    assert_eq!(second.kind(), ErrorKind::Locked);
    assert!(second.to_string().starts_with("another emulator uses the directory "), "{second}");
    assert_eq!(fsck(directory.path()).unwrap_err().kind(), ErrorKind::Locked);
    connect(&first).create_vault("photos").await;
    drop(first);
    on(directory.path()).await.shutdown().await.unwrap();
}

/// S12: a file in place that no row names, and half a file, as a killed process leaves them.
#[tokio::test]
async fn s12_leftovers_of_a_killed_process_are_removed_at_the_next_start() {
    let directory = tempfile::tempdir().unwrap();
    on(directory.path()).await.shutdown().await.unwrap();
    let orphan = directory.path().join("blobs/ab").join("c".repeat(38));
    fs::create_dir_all(orphan.parent().unwrap()).unwrap();
    fs::write(&orphan, "orphan").unwrap();
    let unfinished = directory.path().join("unfinished/half");
    fs::write(&unfinished, "half").unwrap();
    let report = fsck(directory.path()).unwrap();
    assert_eq!((report.is_clean(), report.leftovers), (true, 1));
    on(directory.path()).await.shutdown().await.unwrap();
    assert!(!orphan.exists() && !unfinished.exists());
}

/// S12: the database was lost, or was not restored along with the bytes.
#[tokio::test]
async fn s12_bytes_without_their_database_are_kept() {
    let directory = tempfile::tempdir().unwrap();
    let emulator = on(directory.path()).await;
    let mut wire = connect(&emulator);
    wire.create_vault("photos").await;
    wire.upload("photos", b"hello").await;
    emulator.shutdown().await.unwrap();
    let database = directory.path().join("cas.sqlite3");
    let kept = fs::read(&database).unwrap();
    let losses: [fn(&Path); 2] = [|file| fs::remove_file(file).unwrap(), |file| fs::write(file, "").unwrap()];
    for lose in losses {
        lose(&database);
        for _ in 0..2 {
            let refused = Emulator::builder().without_port().data_dir(directory.path()).start().await.unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::Storage);
            assert!(refused.to_string().ends_with("no database that names them in cas.sqlite3"), "{refused}");
        }
        fs::write(&database, &kept).unwrap();
    }
    on(directory.path()).await.shutdown().await.unwrap();
    assert!(fsck(directory.path()).unwrap().is_clean());
}

#[tokio::test]
async fn s12_damage_is_found_by_fsck_and_never_served_as_good() {
    let bytes = pattern(3 * MIB);
    type Damage = fn(&Path);
    let damages: [(Damage, &str); 4] = [
        (
            |file| {
                let mut text = fs::read(file).unwrap();
                text[2 * MIB + 77] ^= 1;
                fs::write(file, text).unwrap();
            },
            "the bytes of MiB 2 are not those that were stored",
        ),
        (|file| fs::write(file, b"short").unwrap(), "5 bytes long, 3145728 were stored"),
        (|file| fs::remove_file(file).unwrap(), "missing"),
        (
            |file| {
                fs::remove_file(file).unwrap();
                fs::create_dir(file).unwrap();
            },
            "it cannot be read: ",
        ),
    ];
    for (damage, problem) in damages {
        let directory = tempfile::tempdir().unwrap();
        let emulator = on(directory.path()).await;
        let mut wire = connect(&emulator);
        wire.create_vault("photos").await;
        let archive = wire.upload("photos", &bytes).await;
        emulator.shutdown().await.unwrap();
        damage(&files(directory.path())[0]);

        let report = fsck(directory.path()).unwrap();
        assert!(report.problems.iter().any(|line| line.contains(problem)), "{report}");
        let emulator = on(directory.path()).await;
        let mut wire = connect(&emulator);
        let job = wire.job("photos", json!({"Type": "archive-retrieval", "ArchiveId": archive})).await;
        wire.describe_job("photos", &job).await;
        let damaged = wire.output("photos", &job, Some("bytes=2097200-2097300")).await;
        assert_eq!(damaged.error(), "500 ServiceUnavailableException", "{problem}");
        let head = Call::new("GET", format!("/-/vaults/photos/jobs/{job}/output"));
        let head = head.head(Some(&wire.credentials), wire.now);
        let whole = wire.exchange(&head, b"").await;
        assert!(whole.is_none_or(|answer| answer.status == 500), "{problem}");
    }
}

#[tokio::test]
async fn fsck_of_something_else_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let error = fsck(directory.path()).unwrap_err();
    assert!(error.to_string().ends_with("there is none"), "{error}");
    fs::write(directory.path().join("cas.sqlite3"), "not a database, but long enough to look at").unwrap();
    assert_eq!(fsck(directory.path()).unwrap_err().kind(), ErrorKind::Storage);
    let error = Emulator::builder().without_port().data_dir(directory.path()).start().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Storage);
}

/// S10: where nothing can be written, nothing is acknowledged, and what was there stays.
#[cfg(unix)]
#[tokio::test]
async fn s10_a_store_that_cannot_be_written_answers_with_a_server_error() {
    use std::os::unix::fs::symlink;
    let directory = tempfile::tempdir().unwrap();
    let emulator = on(directory.path()).await;
    let mut wire = connect(&emulator);
    wire.create_vault("photos").await;
    let archive = wire.upload("photos", b"hello").await;
    let upload = wire.initiate_upload("photos", MIB as u64).await;
    wire.upload_part("photos", &upload, 0, b"before").await.expect(204);
    // The bytes cannot be received, and cannot be put in their place. Whoever runs the tests may be root, whom no permission stops; nobody
    // can write below what is no directory.
    for folder in ["unfinished", "blobs"] {
        let (folder, aside) = (directory.path().join(folder), directory.path().join("aside"));
        fs::rename(&folder, &aside).unwrap();
        symlink("/dev/null", &folder).unwrap();
        let call = Call::new("POST", "/-/vaults/photos/archives").body("more").hashed();
        let refused = wire.send(call.clone()).await;
        assert_eq!(refused.error(), "500 ServiceUnavailableException");
        assert_eq!(refused.json()["type"], "Server");
        let refused = wire.upload_part("photos", &upload, 0, b"after!").await;
        assert_eq!(refused.error(), "500 ServiceUnavailableException");
        fs::remove_file(&folder).unwrap();
        fs::rename(&aside, &folder).unwrap();
        wire.send(call).await.expect(201);
    }
    let job = wire.job("photos", json!({"Type": "archive-retrieval", "ArchiveId": archive})).await;
    assert_eq!(wire.output("photos", &job, None).await.expect(200).body, b"hello");
    wire.complete("photos", &upload, b"before").await.expect(201);
    emulator.shutdown().await.unwrap();
    let report = fsck(directory.path()).unwrap();
    assert_eq!((report.is_clean(), report.archives, report.leftovers), (true, 4, 0), "{report}");
}

/// S10: room enough for what is asked, and none for tidying up after it.
#[tokio::test]
async fn s10_what_was_committed_stays_done_though_nothing_can_be_tidied_up() {
    let directory = tempfile::tempdir().unwrap();
    let emulator = on(directory.path()).await;
    let mut wire = connect(&emulator);
    wire.create_vault("photos").await;
    let archive = wire.upload("photos", b"hello").await;
    let upload = wire.initiate_upload("photos", MIB as u64).await;
    wire.upload_part("photos", &upload, 0, b"before").await.expect(204);

    let database = rusqlite::Connection::open(directory.path().join("cas.sqlite3")).unwrap();
    let full = "CREATE TRIGGER full BEFORE DELETE ON doomed BEGIN SELECT RAISE(ABORT, 'the disk is full'); END";
    database.execute_batch(full).unwrap();
    wire.upload_part("photos", &upload, 0, b"after!").await.expect(204);
    wire.send(Call::new("DELETE", format!("/-/vaults/photos/archives/{archive}"))).await.expect(204);
    wire.complete("photos", &upload, b"after!").await.expect(201);
    database.execute_batch("DROP TRIGGER full").unwrap();
    wire.create_vault("more").await;
    let listed: u64 = database.query_row("SELECT count(*) FROM doomed", [], |row| row.get(0)).unwrap();
    assert_eq!(listed, 0, "the next write tidies up");
    drop(database);
    emulator.shutdown().await.unwrap();
    let report = fsck(directory.path()).unwrap();
    assert_eq!((report.is_clean(), report.archives, report.files, report.leftovers), (true, 1, 1, 0), "{report}");
}

/// S10: a clock that goes backwards upsets nothing.
#[tokio::test]
async fn s10_a_clock_that_goes_backwards_upsets_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let at = |time: &str| {
        let clock = cas_emulator::Clock::manual(time.parse().unwrap());
        Emulator::builder().without_port().data_dir(directory.path()).clock(clock).start()
    };
    let emulator = at("2024-03-02T00:00:00Z").await.unwrap();
    let mut wire = connect(&emulator);
    wire.create_vault("photos").await;
    let archive = wire.upload("photos", b"hello").await;
    let job = wire.job("photos", json!({"Type": "archive-retrieval", "ArchiveId": archive})).await;
    wire.describe_job("photos", &job).await;
    emulator.shutdown().await.unwrap();
    let emulator = at("2024-03-01T00:00:00Z").await.unwrap();
    let mut wire = connect(&emulator);
    assert_eq!(wire.output("photos", &job, None).await.expect(200).body, b"hello");
    wire.upload("photos", b"more").await;
    wire.get("/-/vaults/photos").await.expect(200);
}
