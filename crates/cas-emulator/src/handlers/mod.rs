//! What each operation does. One function for each, grouped by what they are about; the requests have been read and allowed already.

pub(crate) mod access_policy;
pub(crate) mod archive;
pub(crate) mod job;
pub(crate) mod multipart;
pub(crate) mod notification;
pub(crate) mod receive;
pub(crate) mod vault;

use bytes::Bytes;
use cas_api::Output;
use cas_http::{AppId, Limit, Marker, Timestamp};
use http::Response;

use crate::body::AnswerBody;
use crate::failure::{Failure, Outcome};

/// Whose vaults a request is about, and when it came.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scope {
    pub(crate) owner: AppId,
    pub(crate) now: Timestamp,
}

/// An answer with a small body or none.
fn answer(output: impl Output) -> Outcome<Response<AnswerBody>> {
    Ok(output.write().map(|body: Bytes| body.into()))
}

/// How many entries a page may have.
fn page_size(limit: Option<Limit>) -> u32 {
    limit.unwrap_or(Limit::MAX).get()
}

/// Cuts a list that was read one entry too long, and marks where the next page begins.
fn page<T>(mut entries: Vec<T>, size: u32, marker: impl FnOnce(&T) -> String) -> Outcome<(Vec<T>, Option<Marker>)> {
    let next = if entries.len() > size as usize { entries.pop() } else { None };
    let marker = next.as_ref().map(marker).map(Marker::parse).transpose();
    Ok((entries, marker.map_err(|error| Failure::internal("marking the next page", &error))?))
}
