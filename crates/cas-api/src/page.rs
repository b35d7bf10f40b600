//! Listings as streams: page after page, or entry after entry.
//!
//! A marker is handed back as it came. The service's pages do not say whether the entry at a marker belongs to the page before or after
//! it, so an entry that comes twice is handed over once. A listing that would never end is an error.

use std::collections::HashSet;

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

/// An operation whose answer is one page of a listing. The four of the service are all there are.
pub trait Listing: sealed::Sealed + Answer<Output: Clone> + Operation<Shape = Plain> {
    /// One entry.
    type Item: Clone + Send + 'static;

    /// Where the page begins.
    #[doc(hidden)]
    fn marker_mut(&mut self) -> &mut Option<Marker>;

    /// The entries of a page, and where the next begins.
    #[doc(hidden)]
    fn open(output: Self::Output) -> (Vec<Self::Item>, Option<Marker>);

    /// What tells one entry from another.
    #[doc(hidden)]
    fn key(item: &Self::Item) -> String;
}

mod sealed {
    /// Keeps the listings those of this module: what one must have is nobody else's affair, and may change.
    ///
    /// ```compile_fail
    /// use bytes::Bytes;
    /// use cas_api::{Answer, Listing};
    /// use cas_http::wire::{OperationInfo, Plain};
    /// use cas_http::{Marker, Operation, Uid, VaultName, ops::ListVaults};
    ///
    /// #[derive(Clone, Debug)]
    /// struct Mine(ListVaults);
    ///
    /// impl Operation for Mine {
    ///     type Shape = Plain;
    ///     const INFO: &'static OperationInfo = ListVaults::INFO;
    ///
    ///     fn encode(&self, uid: Uid) -> http::Request<Bytes> {
    ///         self.0.encode(uid)
    ///     }
    ///
    ///     fn vault(&self) -> Option<&VaultName> {
    ///         None
    ///     }
    /// }
    ///
    /// impl Answer for Mine {
    ///     type Output = <ListVaults as Answer>::Output;
    /// }
    ///
    /// impl Listing for Mine {
    ///     type Item = <ListVaults as Listing>::Item;
    ///
    ///     fn marker_mut(&mut self) -> &mut Option<Marker> {
    ///         &mut self.0.marker
    ///     }
    ///
    ///     fn open(output: Self::Output) -> (Vec<Self::Item>, Option<Marker>) {
    ///         ListVaults::open(output)
    ///     }
    ///
    ///     fn key(item: &Self::Item) -> String {
    ///         ListVaults::key(item)
    ///     }
    /// }
    /// ```
    pub trait Sealed {}
}

macro_rules! listing {
    ($operation:ident, $output:ident, $entries:ident: $item:ty, $key:expr) => {
        impl sealed::Sealed for $operation {}

        impl Listing for $operation {
            type Item = $item;

            fn marker_mut(&mut self) -> &mut Option<Marker> {
                &mut self.marker
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

/// How many pages in a row may bring a marker and no entry that was not on the page before.
const MAX_IDLE_PAGES: u32 = 16;

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
    /// The markers so far, the one the caller began with included.
    markers: HashSet<Marker>,
    /// The entries of the last page that had any. An entry can come twice only at the seam of two pages, so no more must be remembered.
    last_keys: HashSet<String>,
    idle_pages: u32,
}

/// A page as it came, and those of its entries that were not on the page before.
type Step<O> = (<O as Answer>::Output, Vec<<O as Listing>::Item>);

impl<O: Listing> Walk<O> {
    fn new(pending: Pending<CasApi, O>) -> Self {
        let (api, mut call) = pending.into_call();
        let markers = call.operation.marker_mut().iter().cloned().collect();
        Walk { api, call: Some(call), markers, last_keys: HashSet::new(), idle_pages: 0 }
    }

    fn steps(self) -> impl Stream<Item = Result<Step<O>, Error>> + Send {
        stream::unfold(self, Walk::next)
    }

    async fn next(mut self) -> Option<(Result<Step<O>, Error>, Walk<O>)> {
        let call = self.call.take()?;
        let again = Call::new(call.operation.clone(), (), call.options.clone());
        let outcome = self.api.clone().call(call).await.and_then(|output| self.advance(again, output));
        Some((outcome, self))
    }

    /// Makes the call for the page after this one ready.
    fn advance(&mut self, mut next: Call<O>, output: O::Output) -> Result<Step<O>, Error> {
        let (items, marker) = O::open(output.clone());
        let new = self.unseen(items);
        let Some(marker) = marker else { return Ok((output, new)) };
        self.idle_pages = if new.is_empty() { self.idle_pages + 1 } else { 0 };
        let endless = if !self.markers.insert(marker.clone()) {
            Some(ListingError::RepeatedMarker)
        } else if self.idle_pages > MAX_IDLE_PAGES {
            Some(ListingError::IdlePages)
        } else {
            None
        };
        if let Some(why) = endless {
            let vault = next.operation.vault().cloned();
            return Err(Context { operation: O::INFO.name, vault, report: None }.listing(why));
        }
        *next.operation.marker_mut() = Some(marker);
        self.call = Some(next);
        Ok((output, new))
    }

    fn unseen(&mut self, items: Vec<O::Item>) -> Vec<O::Item> {
        if items.is_empty() {
            return items;
        }
        let keys = items.iter().map(O::key).collect();
        let seen = std::mem::replace(&mut self.last_keys, keys);
        items.into_iter().filter(|item| !seen.contains(&O::key(item))).collect()
    }
}

impl<O: Listing> Pages<O> for Pending<CasApi, O> {
    fn pages(self) -> impl Stream<Item = Result<O::Output, Error>> + Send {
        Walk::new(self).steps().map_ok(|(output, _)| output)
    }

    fn items(self) -> impl Stream<Item = Result<O::Item, Error>> + Send {
        Walk::new(self).steps().map_ok(|(_, new)| stream::iter(new.into_iter().map(Ok))).try_flatten().boxed()
    }
}
