//! How far something is, shown on a terminal and nowhere else.

use std::borrow::Cow;
use std::path::Path;
use std::time::Duration;

use cas_http::UploadId;
use cas_objects::Progress;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

const TRANSFER: &str =
    "{msg} [{bar:30}] {binary_bytes}/{binary_total_bytes}, {binary_bytes_per_sec}, {eta} left{prefix}";
const COUNT: &str = "{msg} {binary_bytes}, {binary_bytes_per_sec}";
const WAIT: &str = "{spinner} {wide_msg}";

/// How often a bar looks at what it shows.
const INTERVAL: Duration = Duration::from_millis(100);

/// What is done to a file, without the folders it lies in.
pub(crate) fn title(doing: &str, file: &Path) -> String {
    format!("{doing} {}", file.file_name().unwrap_or(file.as_os_str()).display())
}

/// A bar for this many bytes, or a counter where nobody knows how many there are.
pub(crate) fn bytes(title: impl Into<Cow<'static, str>>, total: Option<u64>) -> ProgressBar {
    match total {
        Some(total) => bar(title, TRANSFER, Some(total)),
        None => bar(title, COUNT, None),
    }
}

/// A line that moves while there is nothing to count.
pub(crate) fn waiting(title: impl Into<Cow<'static, str>>) -> ProgressBar {
    let bar = bar(title, WAIT, None);
    bar.enable_steady_tick(INTERVAL);
    bar
}

/// Shows a transfer while it runs. `begun` is called as soon as a multipart upload has begun.
pub(crate) async fn transfer<T>(
    title: String,
    progress: &Progress,
    work: impl Future<Output = T>,
    begun: impl FnOnce(&ProgressBar, &UploadId),
) -> T {
    let bar = bytes(title, Some(0));
    let watch = async {
        let mut tick = tokio::time::interval(INTERVAL);
        let mut resumed = 0;
        loop {
            tick.tick().await;
            let now = progress.snapshot();
            if now.total_bytes == 0 {
                continue;
            }
            bar.set_length(now.total_bytes);
            bar.set_position(now.done_bytes);
            if now.total_parts > 1 {
                bar.set_prefix(format!(", part {} of {}", now.done_parts, now.total_parts));
            }
            if now.resumed_bytes > resumed {
                // What was there already says nothing about the rate of this run.
                bar.reset_eta();
                resumed = now.resumed_bytes;
            }
        }
    };
    let begin = async {
        begun(&bar, &progress.upload_begun().await);
        std::future::pending().await
    };
    let outcome = tokio::select! {
        outcome = work => outcome,
        never = watch => never,
        never = begin => never,
    };
    bar.finish_and_clear();
    outcome
}

/// Where standard error is no terminal, the bar is there and shows nothing.
fn bar(title: impl Into<Cow<'static, str>>, template: &str, total: Option<u64>) -> ProgressBar {
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr());
    bar.with_style(style).with_message(title)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_templates_can_be_read() {
        for template in [TRANSFER, COUNT, WAIT] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }

    #[tokio::test]
    async fn a_transfer_hands_its_outcome_on() {
        let outcome = transfer("upload".to_owned(), &Progress::new(), async { 17 }, |_, _| {}).await;
        assert_eq!(outcome, 17);
    }
}
