//! Lists that may be long: past a thousand items they are sent while they are read.

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt, TryStreamExt};
use http::{HeaderValue, header};
use serde::Serialize;
use tidegate_model::limits::CATALOG_PIECE_ITEMS;

use super::answer::{Answer, ListEnd, list, text_of};
use super::arguments::Page;
use crate::errors::{Failure, chain};

/// Some items of a list.
#[derive(Debug)]
pub(super) struct Piece<T> {
    pub(super) items: Vec<T>,
    /// Whether one of them stands for what was past a limit.
    pub(super) capped: bool,
}

/// Pieces of a list, each read when the one before is sent.
pub(super) type Pieces<T> = BoxStream<'static, Result<Piece<T>, Failure>>;

/// What is known of a list before its items are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Extent {
    pub(super) page: Page,
    pub(super) total: u64,
    pub(super) samples: u64,
    pub(super) capped: bool,
}

/// A list on its way: of each piece its items as text, with commas between them, and whether one is capped.
pub(super) struct Listing {
    extent: Extent,
    pieces: BoxStream<'static, Result<(String, bool), Failure>>,
}

impl std::fmt::Debug for Listing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Listing").field("extent", &self.extent).finish_non_exhaustive()
    }
}

/// Answers with a list: a short one whole, so that what fails has a status of its own; a long one piece by piece.
pub(super) async fn listed<T: Serialize + Send + 'static>(
    extent: Extent,
    mut pieces: Pieces<T>,
) -> Result<Answer, Failure> {
    let left = extent.total.saturating_sub(extent.page.offset).min(extent.page.items());
    if left > CATALOG_PIECE_ITEMS as u64 {
        // What fails at once is still told as what it is.
        let first = pieces.next().await.transpose()?;
        let pieces = stream::iter(first.map(Ok)).chain(pieces);
        let pieces = pieces.map(|piece| piece.and_then(|piece| Ok((items_text(&piece.items)?, piece.capped)))).boxed();
        return Ok(Answer::Long(Listing { extent, pieces }));
    }
    let (mut items, mut capped) = (Vec::new(), extent.capped);
    while let Some(piece) = pieces.try_next().await? {
        items.extend(piece.items);
        capped |= piece.capped;
    }
    Answer::told(&list(items, extent.page, extent.total, extent.samples, capped))
}

/// Writes items with commas between them.
fn items_text<T: Serialize>(items: &[T]) -> Result<String, Failure> {
    let list = text_of(&items)?;
    let bare = list.get().strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    Ok(bare.unwrap_or_default().to_owned())
}

/// Cuts what is to be told into pieces.
pub(super) fn in_pieces<T: Send + 'static>(all: Vec<T>) -> BoxStream<'static, Vec<T>> {
    stream::unfold(all.into_iter(), |mut rest| async move {
        let piece: Vec<T> = rest.by_ref().take(CATALOG_PIECE_ITEMS).collect();
        (!piece.is_empty()).then_some((piece, rest))
    })
    .boxed()
}

impl Listing {
    /// Sends the list; a failure on the way breaks the connection, so that nobody takes a part for the whole.
    pub(super) fn into_response(self) -> Response {
        let Self { extent, pieces } = self;
        let texts = pieces.map(Some).chain(stream::iter([None])).scan((true, extent.capped), move |state, piece| {
            let text = match piece {
                Some(Ok((items, capped))) => Ok(following(items, capped, state)),
                Some(Err(failure)) => Err(broken(&failure)),
                None => end_text(extent, state.1).map_err(|failure| broken(&failure)),
            };
            std::future::ready(Some(text))
        });
        let texts = stream::iter([Ok(Bytes::from_static(b"{\"data\":["))]).chain(texts);
        let mut response = Response::new(Body::from_stream(texts));
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    }
}

/// Puts a comma before items that follow others; the state is whether they are the first, and whether any is capped.
fn following(mut items: String, capped: bool, state: &mut (bool, bool)) -> Bytes {
    state.1 |= capped;
    if !items.is_empty() && !std::mem::take(&mut state.0) {
        items.insert(0, ',');
    }
    items.into()
}

/// Writes what follows the items: the envelope without its beginning.
fn end_text(extent: Extent, capped: bool) -> Result<Bytes, Failure> {
    let end = text_of(&ListEnd::of(extent.page, extent.total, extent.samples, capped))?;
    Ok(format!("],{}", end.get().trim_start_matches('{')).into())
}

fn broken(failure: &Failure) -> std::io::Error {
    let error = std::io::Error::other(failure.message.clone());
    tracing::warn!(error = chain(&error), "a list was not completed");
    error
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;
    use serde_json::{Value, json};

    use super::*;

    fn extent(total: u64) -> Extent {
        Extent { page: Page { limit: 0, offset: 0 }, total, samples: 7, capped: false }
    }

    async fn value_of(answer: Answer) -> Result<Value, String> {
        use axum::response::IntoResponse;
        let body = answer.into_response().into_body().collect().await.map_err(|error| error.to_string())?;
        serde_json::from_slice(&body.to_bytes()).map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn a_long_list_is_the_same_as_a_whole_one() {
        let numbers: Vec<u64> = (0..2_500).collect();
        let told = |capped| move |items: Vec<u64>| Ok(Piece { items, capped });
        let long = listed(extent(2_500), in_pieces(numbers.clone()).map(told(false)).boxed()).await.expect("a list");
        assert!(matches!(long, Answer::Long(_)));
        assert_eq!(value_of(long).await, Ok(json!(list(numbers, extent(0).page, 2_500, 7, false))));
        let short = listed(extent(3), in_pieces(vec![1, 2, 3]).map(told(true)).boxed()).await.expect("a list");
        assert!(matches!(short, Answer::Json(..)));
        assert_eq!(value_of(short).await.map(|list| list["exact"].clone()), Ok(json!(false)));
    }

    #[tokio::test]
    async fn a_list_that_fails_on_its_way_is_not_a_shorter_one() {
        let fails = || Err(Failure::invalid("the engine went away"));
        let pieces = |first: Result<Piece<u64>, Failure>| stream::iter([first, fails()]).boxed();
        let first = Piece { items: vec![1], capped: false };
        let begun = listed(extent(2_500), pieces(Ok(first))).await.expect("its beginning");
        assert!(value_of(begun).await.is_err());
        assert!(listed(extent(2_500), pieces(fails())).await.is_err());
    }
}
