//! Listings as streams: page after page, or entry after entry.
//!
//! A marker is handed back as it came. The service's pages do not say whether the entry at a marker belongs to the page before or after
//! it, so an entry that comes twice is handed over once. A listing that would never end is an error.

use std::collections::{HashSet, VecDeque};

use cas_http::ops::{ListJobs, ListMultipartUploads, ListParts, ListVaults};
use cas_http::wire::Plain;
use cas_http::{Call, Caller, Marker, Operation, Pending};
use futures::{Stream, StreamExt, TryStreamExt, stream};

use crate::answers::{ListJobsOutput, ListMultipartUploadsOutput, ListPartsOutput, ListVaultsOutput};
use crate::api::CasApi;
use crate::error::{Context, Error, ListingError};
use crate::job::JobDescription;
use crate::multipart::{Part, UploadDescription};
use crate::vault::VaultDescription;
use crate::wire::Answer;

/// An operation whose answer is one page of a listing.
pub trait Listing: Answer<Output: Clone> + Operation<Shape = Plain> {
    /// One entry.
    type Item: Clone + Send + 'static;

    /// The same listing from a marker on.
    #[doc(hidden)]
    fn set_marker(&mut self, marker: Marker);

    /// The entries of a page, and where the next begins.
    #[doc(hidden)]
    fn open(output: Self::Output) -> (Vec<Self::Item>, Option<Marker>);

    /// What tells one entry from another.
    #[doc(hidden)]
    fn key(item: &Self::Item) -> String;
}

macro_rules! listing {
    ($operation:ident, $output:ident, $entries:ident: $item:ty, $key:expr) => {
        impl Listing for $operation {
            type Item = $item;

            fn set_marker(&mut self, marker: Marker) {
                self.marker = Some(marker);
            }

            fn open(output: $output) -> (Vec<$item>, Option<Marker>) {
                (output.page.$entries, output.page.marker)
            }

            fn key(item: &$item) -> String {
                let key: fn(&$item) -> String = $key;
                key(item)
            }
        }
    };
}

listing!(ListVaults, ListVaultsOutput, vaults: VaultDescription, |vault| vault.name.to_string());
listing!(ListJobs, ListJobsOutput, jobs: JobDescription, |job| job.job_id.to_string());
listing!(ListParts, ListPartsOutput, parts: Part, |part| part.range.to_string());
listing!(ListMultipartUploads, ListMultipartUploadsOutput, uploads: UploadDescription, |upload| upload.upload_id.to_string());

/// How many pages in a row may bring no entry but a marker.
const MAX_EMPTY_PAGES: u32 = 16;

/// Following a listing to its end: methods of `api.list_jobs(&vault)` and its like.
pub trait Pages<O: Listing>: Sized {
    /// The pages, as they come. Each has its marker, from which the listing can be taken up again in another process.
    ///
    /// The stream ends after the last page or the first error.
    fn pages(self) -> impl Stream<Item = Result<O::Output, Error>> + Send;

    /// The entries of all pages, each once.
    ///
    /// The stream ends after the last entry or the first error.
    fn items(self) -> impl Stream<Item = Result<O::Item, Error>> + Send;

    /// All entries in memory.
    ///
    /// # Errors
    ///
    /// When a page cannot be had, or the listing would never end.
    fn collect_all(self) -> impl Future<Output = Result<Vec<O::Item>, Error>> + Send
    where
        Self: Send,
    {
        async move { self.items().try_collect().await }
    }
}

/// How far a listing has been followed.
struct Walk<O: Listing> {
    api: CasApi,
    call: Option<Call<O>>,
    markers: HashSet<Marker>,
    empty_pages: u32,
}

impl<O: Listing> Walk<O> {
    async fn next(mut self) -> Option<(Result<O::Output, Error>, Walk<O>)> {
        let call = self.call.take()?;
        let again = Call::new(call.operation.clone(), (), call.options.clone());
        let outcome = self.api.clone().call(call).await.and_then(|output| self.advance(again, output));
        Some((outcome, self))
    }

    /// Makes the call for the page after this one ready.
    fn advance(&mut self, mut next: Call<O>, output: O::Output) -> Result<O::Output, Error> {
        let (items, marker) = O::open(output.clone());
        let Some(marker) = marker else { return Ok(output) };
        self.empty_pages = if items.is_empty() { self.empty_pages + 1 } else { 0 };
        let endless = if !self.markers.insert(marker.clone()) {
            Some(ListingError::RepeatedMarker)
        } else if self.empty_pages > MAX_EMPTY_PAGES {
            Some(ListingError::EmptyPages)
        } else {
            None
        };
        if let Some(why) = endless {
            let vault = next.operation.vault().cloned();
            return Err(Context { operation: O::INFO.name, vault, repeat: O::INFO.repeat, report: None }.listing(why));
        }
        next.operation.set_marker(marker);
        self.call = Some(next);
        Ok(output)
    }
}

impl<O: Listing> Pages<O> for Pending<CasApi, O> {
    fn pages(self) -> impl Stream<Item = Result<O::Output, Error>> + Send {
        let (api, call) = self.into_call();
        let walk = Walk { api, call: Some(call), markers: HashSet::new(), empty_pages: 0 };
        stream::unfold(walk, Walk::next)
    }

    fn items(self) -> impl Stream<Item = Result<O::Item, Error>> + Send {
        // An entry can come twice only at the seam of two pages, so the last page's keys are all that must be remembered.
        let mut last_page: HashSet<String> = HashSet::new();
        let unseen = move |output| {
            let items = O::open(output).0;
            let keys: HashSet<String> = items.iter().map(O::key).collect();
            let seen = std::mem::replace(&mut last_page, keys);
            let new: VecDeque<O::Item> = items.into_iter().filter(|item| !seen.contains(&O::key(item))).collect();
            stream::iter(new.into_iter().map(Ok))
        };
        self.pages().map_ok(unseen).try_flatten().boxed()
    }
}
