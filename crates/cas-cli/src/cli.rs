//! The command line as a value: what can be typed, and nothing of what it does.

use std::num::NonZeroU32;
use std::path::PathBuf;

use cas_emulator::JobDelay;
use cas_http::document::{CallbackUrl, NotificationEvent, Tier};
use cas_http::{ArchiveId, ByteRange, Description, JobId, PartSize, RetrievalRange, UploadId, VaultName};
use cas_sign::{Algorithm, ParameterReading, TimeRange};
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::values::{self, Header, Parameter, Secret};

/// Works with Tencent Cloud Archive Storage (CAS), or with an emulator of it on this machine.
#[derive(Debug, Parser)]
#[command(name = "cas", version, max_term_width = 100, after_help = AFTER_HELP)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: GlobalOptions,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const AFTER_HELP: &str = "\
Without an account: `cas demo` shows the whole way of an archive on this machine, and every command works with --local.

Exit codes: 0 done; 1 failed; 2 wrong usage; 3 credentials; 4 not found; 5 conflict, throttled or unavailable; 6 not the right bytes; \
7 stopped on the way, go on with the command that is told; 75 not ready yet; 130 interrupted.";

/// Options of every command, before or after its name.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Options of every command")]
pub(crate) struct GlobalOptions {
    /// The service's address [env: CAS_ENDPOINT]
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) endpoint: Option<String>,
    /// The account (APPID) in paths; `-` or nothing for the one that signs [env: CAS_APPID]
    #[arg(long, global = true, value_name = "ID", allow_hyphen_values = true, alias = "appid")]
    pub(crate) app_id: Option<String>,
    /// The secret id [env: TENCENTCLOUD_SECRET_ID]
    #[arg(long, global = true, value_name = "ID", alias = "secretid")]
    pub(crate) secret_id: Option<String>,
    /// The secret key; better in the environment, where `ps` does not show it [env: TENCENTCLOUD_SECRET_KEY]
    #[arg(long, global = true, value_name = "KEY", allow_hyphen_values = true, alias = "secretkey")]
    pub(crate) secret_key: Option<Secret>,
    /// The section of the credentials file [env: TENCENTCLOUD_PROFILE]
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) profile: Option<String>,
    /// Use the emulator inside this program; its state is kept in .cas-local/ of the current directory
    #[arg(long, global = true)]
    pub(crate) local: bool,
    /// Print results as JSON on standard output, and an error as one JSON object on standard error
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Takes a file through everything: upload, inventory, retrieval, download, comparison
    Demo(DemoArgs),
    /// Creates, lists, shows and deletes vaults
    #[command(subcommand)]
    Vault(VaultCommand),
    /// Stores a file as an archive
    #[command(alias = "upload_archive")]
    Upload(UploadArgs),
    /// Makes an archive readable, waits until it is, and downloads it
    Retrieve(RetrieveArgs),
    /// Shows jobs and waits for them
    #[command(subcommand)]
    Job(JobCommand),
    /// Downloads what a finished job has for us
    #[command(alias = "fetch_job_output")]
    Fetch(FetchArgs),
    /// Lists the archives of a vault, by way of a job
    Inventory(InventoryArgs),
    /// Deletes archives
    #[command(subcommand)]
    Archive(ArchiveCommand),
    /// Lists, shows and aborts uploads that are not finished
    #[command(subcommand)]
    Multipart(MultipartCommand),
    /// Shows, sets and deletes who may do what with a vault
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Shows, sets and deletes where a vault reports finished jobs
    #[command(subcommand)]
    Notification(NotificationCommand),
    /// Computes tree hashes of files
    #[command(alias = "file_tree_etag")]
    TreeHash(TreeHashArgs),
    /// Signs a request, or says why a signature does not fit one
    Sign(SignArgs),
    /// Runs an emulator of the service on this machine until it is stopped
    Emulator(EmulatorArgs),

    // The names of the old cascmd.
    #[command(hide = true, name = "ls", alias = "list_vault")]
    OldListVaults,
    #[command(hide = true, name = "cv", alias = "create_vault")]
    OldCreateVault(VaultArg),
    #[command(hide = true, name = "desc_vault")]
    OldShowVault(VaultArg),
    #[command(hide = true, name = "delete_vault")]
    OldDeleteVault(DeleteVaultArgs),
    #[command(hide = true, name = "delete_archive")]
    OldDeleteArchive(DeleteArchiveArgs),
    #[command(hide = true, name = "rm")]
    OldRemove(RemoveArgs),
    #[command(hide = true, name = "desc_job")]
    OldShowJob(JobArgs),
    #[command(hide = true, name = "list_job")]
    OldListJobs(ListJobsArgs),
    #[command(hide = true, name = "list_multipart_upload")]
    OldListUploads(VaultArg),
    #[command(hide = true, name = "list_part")]
    OldShowUpload(UploadIdArgs),
    #[command(hide = true, name = "abort_multipart_upload")]
    OldAbortUpload(UploadIdArgs),
}

/// `cas demo`.
#[derive(Args, Debug)]
pub(crate) struct DemoArgs {
    /// The file; without one, 160 MiB of pseudo-random data are made in .cas-local/
    pub(crate) file: Option<PathBuf>,
}

/// `cas vault …`.
#[derive(Debug, Subcommand)]
pub(crate) enum VaultCommand {
    /// Creates a vault; does nothing when there is one of that name
    Create(VaultArg),
    /// Lists the vaults of the account
    List,
    /// Shows what the service knows of a vault
    Show(VaultArg),
    /// Deletes a vault, which must be empty
    Delete(DeleteVaultArgs),
}

/// A vault.
#[derive(Args, Debug)]
pub(crate) struct VaultArg {
    /// The vault's name, or cas://NAME
    #[arg(value_name = "VAULT", value_parser = values::vault)]
    pub(crate) vault: VaultName,
}

/// `cas vault delete`, and whatever else of a vault is deleted.
#[derive(Args, Debug)]
pub(crate) struct DeleteVaultArgs {
    #[command(flatten)]
    pub(crate) vault: VaultArg,
    /// Do not ask
    #[arg(short, long)]
    pub(crate) yes: bool,
}

/// `cas upload`.
#[derive(Args, Debug)]
pub(crate) struct UploadArgs {
    #[command(flatten)]
    pub(crate) vault: VaultArg,
    /// The file
    pub(crate) file: PathBuf,
    /// A text kept with the archive, at most 1024 bytes; it comes back in inventories only
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true, alias = "desc")]
    pub(crate) description: Option<Description>,
    /// The size of a part: 1M, 2M, 4M … 4096M; by default what suits the file
    #[arg(short, long, value_name = "SIZE", value_parser = values::part_size, alias = "part_size")]
    pub(crate) part_size: Option<PartSize>,
    /// How many parts travel at the same time
    #[arg(long, value_name = "N", value_parser = values::at_once)]
    pub(crate) parts_in_flight: Option<usize>,
    /// Go on with this upload: only what the service does not have yet is sent
    #[arg(
        long, value_name = "UPLOAD_ID", allow_hyphen_values = true, alias = "upload_id",
        conflicts_with_all = ["description", "part_size"]
    )]
    pub(crate) resume: Option<UploadId>,
}

/// `cas retrieve`.
#[derive(Args, Debug)]
pub(crate) struct RetrieveArgs {
    #[command(flatten)]
    pub(crate) archive: ArchiveArgs,
    /// How soon, which is also how dear: Expedited (minutes, up to 256 MiB), Standard (3 to 5 hours), Bulk (5 to 12 hours)
    #[arg(long, value_name = "TIER", ignore_case = true, value_parser = values::tier())]
    pub(crate) tier: Option<Tier>,
    /// Only these bytes, both included: A on a MiB, B before one or the last of the archive
    #[arg(long, value_name = "A-B")]
    pub(crate) range: Option<RetrievalRange>,
    /// Start the job and do not wait for it
    #[arg(long)]
    pub(crate) no_wait: bool,
    /// Download to this file when the job is done
    #[arg(short, long, value_name = "FILE", conflicts_with = "no_wait")]
    pub(crate) output: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) download: DownloadOptions,
}

/// An archive in a vault.
#[derive(Args, Debug)]
pub(crate) struct ArchiveArgs {
    #[command(flatten)]
    pub(crate) vault: VaultArg,
    /// The archive's identifier
    #[arg(allow_hyphen_values = true, value_parser = values::id::<ArchiveId>)]
    pub(crate) archive_id: ArchiveId,
}

/// How a download goes.
#[derive(Args, Debug)]
pub(crate) struct DownloadOptions {
    /// Replace the file if there is one
    #[arg(short, long)]
    pub(crate) force: bool,
    /// How many ranges travel at the same time
    #[arg(long, value_name = "N", value_parser = values::at_once)]
    pub(crate) ranges_in_flight: Option<usize>,
}

/// `cas job …`.
#[derive(Debug, Subcommand)]
pub(crate) enum JobCommand {
    /// Shows a job
    Show(JobArgs),
    /// Waits until a job has ended
    Wait(JobArgs),
    /// Lists the jobs of a vault
    List(ListJobsArgs),
}

/// A job of a vault.
#[derive(Args, Debug)]
pub(crate) struct JobArgs {
    #[command(flatten)]
    pub(crate) vault: VaultArg,
    /// The job's identifier
    #[arg(allow_hyphen_values = true, value_parser = values::id::<JobId>)]
    pub(crate) job_id: JobId,
}

/// `cas job list`.
#[derive(Args, Debug)]
pub(crate) struct ListJobsArgs {
    #[command(flatten)]
    pub(crate) vault: VaultArg,
    /// Only jobs that have ended (true), or only those that have not (false)
    #[arg(long, value_name = "BOOL")]
    pub(crate) completed: Option<bool>,
}

/// `cas fetch`.
#[derive(Args, Debug)]
pub(crate) struct FetchArgs {
    #[command(flatten)]
    pub(crate) job: JobArgs,
    /// Where to write it
    pub(crate) file: PathBuf,
    /// Wait for the job if it has not ended
    #[arg(long)]
    pub(crate) wait: bool,
    #[command(flatten)]
    pub(crate) download: DownloadOptions,
}

/// `cas inventory`.
#[derive(Args, Debug)]
pub(crate) struct InventoryArgs {
    #[command(flatten)]
    pub(crate) vault: VaultArg,
    /// Start the job and do not wait for it
    #[arg(long)]
    pub(crate) no_wait: bool,
    /// Begin with the inventory that this job made or makes, instead of starting one
    #[arg(long, value_name = "JOB_ID", allow_hyphen_values = true, conflicts_with = "no_wait")]
    pub(crate) job: Option<JobId>,
}

/// `cas archive …`.
#[derive(Debug, Subcommand)]
pub(crate) enum ArchiveCommand {
    /// Deletes an archive for good
    Delete(DeleteArchiveArgs),
}

/// `cas archive delete`.
#[derive(Args, Debug)]
pub(crate) struct DeleteArchiveArgs {
    #[command(flatten)]
    pub(crate) archive: ArchiveArgs,
    /// Do not ask
    #[arg(short, long)]
    pub(crate) yes: bool,
}

/// `cas rm`: a vault, or an archive when one is given.
#[derive(Args, Debug)]
pub(crate) struct RemoveArgs {
    #[command(flatten)]
    pub(crate) vault: VaultArg,
    /// The archive's identifier
    #[arg(allow_hyphen_values = true, value_parser = values::id::<ArchiveId>)]
    pub(crate) archive_id: Option<ArchiveId>,
    /// Do not ask
    #[arg(short, long)]
    pub(crate) yes: bool,
}

impl RemoveArgs {
    /// The same as the command of today: of an archive, or else of a vault.
    pub(crate) fn into_delete(self) -> Result<DeleteArchiveArgs, DeleteVaultArgs> {
        let RemoveArgs { vault, archive_id, yes } = self;
        match archive_id {
            Some(archive_id) => Ok(DeleteArchiveArgs { archive: ArchiveArgs { vault, archive_id }, yes }),
            None => Err(DeleteVaultArgs { vault, yes }),
        }
    }
}

/// `cas multipart …`.
#[derive(Debug, Subcommand)]
pub(crate) enum MultipartCommand {
    /// Lists the unfinished uploads of a vault
    List(VaultArg),
    /// Shows an unfinished upload and the parts the service has
    Show(UploadIdArgs),
    /// Gives an unfinished upload up; its parts are gone
    Abort(UploadIdArgs),
}

/// An unfinished upload to a vault.
#[derive(Args, Debug)]
pub(crate) struct UploadIdArgs {
    #[command(flatten)]
    pub(crate) vault: VaultArg,
    /// The upload's identifier
    #[arg(allow_hyphen_values = true, value_parser = values::id::<UploadId>)]
    pub(crate) upload_id: UploadId,
}

/// `cas policy …`.
#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Prints the access policy of a vault as the service has it
    Show(VaultArg),
    /// Gives a vault an access policy, in place of any it has
    Set(SetPolicyArgs),
    /// Deletes the access policy of a vault
    Delete(DeleteVaultArgs),
}

/// `cas policy set`.
#[derive(Args, Debug)]
pub(crate) struct SetPolicyArgs {
    #[command(flatten)]
    pub(crate) vault: VaultArg,
    /// The policy document, version 2.0; `-` for standard input
    pub(crate) file: PathBuf,
}

/// `cas notification …`.
#[derive(Debug, Subcommand)]
pub(crate) enum NotificationCommand {
    /// Shows where a vault reports finished jobs, and which
    Show(VaultArg),
    /// Has a vault report finished jobs, in place of what it reports now
    Set(SetNotificationArgs),
    /// Ends the reports of a vault
    Delete(DeleteVaultArgs),
}

/// `cas notification set`.
#[derive(Args, Debug)]
pub(crate) struct SetNotificationArgs {
    #[command(flatten)]
    pub(crate) vault: VaultArg,
    /// The address that is called, http:// or https://
    pub(crate) url: CallbackUrl,
    /// What is reported; repeatable; everything when nothing is said
    #[arg(
        long = "event", value_name = "EVENT", ignore_case = true, hide_default_value = true,
        value_parser = values::event(), default_values = values::EVENTS
    )]
    pub(crate) events: Vec<NotificationEvent>,
}

/// `cas tree-hash`.
#[derive(Args, Debug)]
pub(crate) struct TreeHashArgs {
    /// The files; `-` for standard input
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// Only these bytes of each file, both included
    #[arg(long, value_name = "A-B", conflicts_with = "check")]
    pub(crate) range: Option<ByteRange>,
    /// The hash of every MiB: written to this file, or with --check compared with the ones in it
    #[arg(long, value_name = "FILE", conflicts_with = "range")]
    pub(crate) leaves: Option<PathBuf>,
    /// FILE holds lines that this command printed: say whether the files named there still have these hashes; with --leaves, say where
    /// FILE first differs from them
    #[arg(short, long)]
    pub(crate) check: bool,
}

/// `cas sign`.
#[derive(Args, Debug)]
pub(crate) struct SignArgs {
    /// The method: GET, PUT, POST, DELETE, HEAD
    pub(crate) method: String,
    /// The path as it is sent, with its query if it has one
    pub(crate) path: String,
    /// A parameter of the query, as it is before encoding; repeatable
    #[arg(long = "param", value_name = "K=V", allow_hyphen_values = true)]
    pub(crate) parameters: Vec<Parameter>,
    /// A header; exactly the given ones are signed; repeatable
    #[arg(long = "header", short = 'H', value_name = "K: V")]
    pub(crate) headers: Vec<Header>,
    /// When the request may be made, in seconds since 1970: START;END. Without it, from a minute ago for fifteen minutes
    #[arg(long, value_name = "A;B")]
    pub(crate) sign_time: Option<TimeRange>,
    /// How long the signing key is valid; the sign time when nothing is said
    #[arg(long, value_name = "A;B")]
    pub(crate) key_time: Option<TimeRange>,
    /// Whose way of speaking the scheme
    #[arg(long, value_enum, default_value_t = DialectName::Cas)]
    pub(crate) dialect: DialectName,
    /// The hash: sha1 or sha256
    #[arg(long, default_value_t = Algorithm::Sha1)]
    pub(crate) algorithm: Algorithm,
    /// How parameter values are lowered and encoded: A, B or C; the dialect's own when nothing is said
    #[arg(long)]
    pub(crate) reading: Option<ParameterReading>,
    /// A signing key that somebody derived for us, instead of the secret key [env: CAS_SIGNING_KEY]
    #[arg(long, value_name = "HEX", conflicts_with = "secret_key")]
    pub(crate) signing_key: Option<Secret>,
    /// Say what differs between this signature and the one the request should have
    #[arg(long, value_name = "AUTHORIZATION", conflicts_with_all = ["sign_time", "key_time", "reading"])]
    pub(crate) explain: Option<String>,
}

/// `cas emulator`: the options of the program cas-emulator.
#[derive(Args, Debug)]
pub(crate) struct EmulatorArgs {
    /// Where to listen; port 0 picks a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9580")]
    pub(crate) listen: String,
    /// Where the state is kept; by default that of --local in the current directory
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// A key pair and its account, repeatable; by default that of --local in the current directory
    #[arg(
        long = "account",
        value_name = "ID:KEY:APPID",
        env = "CAS_EMULATOR_ACCOUNTS",
        hide_env_values = true,
        value_delimiter = ','
    )]
    pub(crate) accounts: Vec<Secret>,
    /// How long jobs take: a time as in 0s, 500ms, 3m, or `tier` for as long as the service takes
    #[arg(long, value_name = "TIME", default_value = "0s")]
    pub(crate) job_delay: JobDelay,
    /// How many times as fast as real time the service's time runs
    #[arg(long, value_name = "FACTOR", default_value = "1")]
    pub(crate) time_scale: NonZeroU32,
    /// The region in the names of vaults
    #[arg(long, value_name = "REGION", default_value = "ap-chengdu")]
    pub(crate) region: String,
    /// Tell the totals of vaults as they are, not as of the last daily inventory
    #[arg(long)]
    pub(crate) live_totals: bool,
    /// Where the stand-in for COS keeps its buckets; by default below the state
    #[arg(long, value_name = "DIR")]
    pub(crate) cos: Option<PathBuf>,
    /// Report finished jobs to addresses on this host; repeatable; without it nothing is reported
    #[arg(long, value_name = "HOST")]
    pub(crate) notify: Vec<String>,
    /// Turn off tolerances: these numbers, or all
    #[arg(
        long, value_name = "NUMBERS", num_args = 0..=1, require_equals = true, value_delimiter = ',',
        action = clap::ArgAction::Set
    )]
    pub(crate) strict: Option<Vec<u8>>,
    /// Make identifiers and chance repeat from run to run
    #[arg(long, value_name = "NUMBER")]
    pub(crate) seed: Option<u64>,
    /// Allow an address that other machines can reach
    #[arg(long)]
    pub(crate) allow_remote: bool,
}

/// The two services that speak the scheme.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DialectName {
    /// Archive storage.
    Cas,
    /// Object storage, XML API.
    Cos,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;
    use clap::error::ErrorKind;

    use super::*;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(std::iter::once("cas").chain(line.split_whitespace()))
    }

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn options_of_every_command_stand_before_or_after_its_name() {
        for line in ["--local --json vault list", "vault --local list --json", "vault list --json --local"] {
            let cli = parse(line).unwrap();
            assert!(cli.global.local && cli.global.json, "{line}");
        }
        let cli = parse("--endpoint http://a job show v j --endpoint http://b --app-id -").unwrap();
        assert_eq!(cli.global.endpoint.as_deref(), Some("http://b"));
        assert_eq!(cli.global.app_id.as_deref(), Some("-"));
    }

    #[test]
    fn an_identifier_may_begin_with_a_dash_wherever_it_stands() {
        for id in ["-abc", "--6ZUS3Xl", "-", "-oAbc_", "-yf-h"] {
            for line in [
                format!("archive delete photos {id} --yes"),
                format!("archive delete --yes photos {id}"),
                format!("archive delete photos --yes {id}"),
                format!("archive delete --yes photos -- {id}"),
                format!("--json archive delete -y -- photos {id}"),
            ] {
                let Command::Archive(ArchiveCommand::Delete(args)) = parse(&line).unwrap().command else { panic!() };
                assert_eq!(args.archive.archive_id.as_str(), id, "{line}");
                assert!(args.yes, "{line}");
            }
            let Command::Fetch(args) = parse(&format!("fetch --local photos {id} out -f")).unwrap().command else {
                panic!()
            };
            assert_eq!((args.job.job_id.as_str(), args.download.force), (id, true));
            let Command::Upload(args) = parse(&format!("upload --resume {id} photos file")).unwrap().command else {
                panic!()
            };
            assert_eq!(args.resume.unwrap().as_str(), id);
            let Command::Retrieve(args) = parse(&format!("retrieve photos {id} -o out --tier bulk")).unwrap().command
            else {
                panic!()
            };
            assert_eq!((args.archive.archive_id.as_str(), args.tier), (id, Some(Tier::Bulk)));
        }
    }

    #[test]
    fn a_misspelt_option_is_not_taken_for_an_identifier() {
        for line in ["archive delete photos --yess", "job show photos --jsn", "job wait photos --no-such-option"] {
            let error = parse(line).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{line}");
            assert!(error.to_string().contains("no such option"), "{error}");
        }
    }

    #[test]
    fn a_vault_may_be_written_as_an_address() {
        let Command::Vault(VaultCommand::Show(args)) = parse("vault show cas://photos").unwrap().command else {
            panic!()
        };
        assert_eq!(args.vault.as_str(), "photos");
    }

    #[test]
    fn what_excludes_itself_is_refused() {
        for line in [
            "retrieve v a --no-wait -o f",
            "upload v f --resume u --description d",
            "inventory v --job j --no-wait",
            "tree-hash f --range 0-1 --leaves l",
            "sign GET / --explain q --sign-time 1;2",
        ] {
            assert_eq!(parse(line).unwrap_err().kind(), ErrorKind::ArgumentConflict, "{line}");
        }
        assert!(parse("tree-hash").is_err());
    }

    #[test]
    fn the_old_names_are_understood_and_not_advertised() {
        assert!(matches!(parse("ls").unwrap().command, Command::OldListVaults));
        assert!(matches!(parse("list_vault --local").unwrap().command, Command::OldListVaults));
        assert!(matches!(parse("cv cas://photos").unwrap().command, Command::OldCreateVault(_)));
        assert!(
            matches!(parse("rm cas://photos -abc").unwrap().command, Command::OldRemove(args) if args.archive_id.is_some())
        );
        assert!(matches!(parse("fetch_job_output v j f").unwrap().command, Command::Fetch(_)));
        assert!(matches!(parse("upload_archive v f --desc d -p 4M").unwrap().command, Command::Upload(_)));
        let help = Cli::command().render_long_help().to_string();
        assert!(!help.contains("list_vault") && !help.contains("desc_job"), "{help}");
    }

    #[test]
    fn no_debug_text_shows_a_secret() {
        let cli = parse("sign GET / --secret-id i --secret-key hush-hush").unwrap();
        assert!(!format!("{cli:?}").contains("hush-hush"));
        let cli = parse("sign GET / --secret-id i --signing-key 5eC4e7").unwrap();
        assert!(!format!("{cli:?}").contains("5eC4e7"));
    }
}
