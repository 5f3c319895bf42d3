//! A request's body on its way from the socket to the query's thread.

use std::io::{self, Read};
use std::sync::Arc;

use bytes::{Buf, Bytes};
use futures_util::{Stream, StreamExt};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use multer::{Constraints, Multipart, SizeLimit};
use tokio::runtime::Handle;
use tokio::sync::{Notify, mpsc};

use crate::exception::{Exception, codes};
use crate::limits::{EXTERNAL_TABLES_MAX, FORM_FIELD_BYTES_MAX, PIECES_IN_FLIGHT};

use super::request::RequestHead;

/// One step of a body.
#[derive(Debug)]
pub(crate) enum Step {
    /// The rows of a table begin.
    Table(String),
    /// Bytes of the body, or of the table that began last.
    Data(Bytes),
    /// The body is whole.
    End,
}

/// The query's end of the channel; a sender that goes away before [`Step::End`] means a client that did.
pub(crate) type Feed = mpsc::Receiver<Step>;

/// Sends a plain body step by step, from a task of its own.
pub(crate) fn pump_plain(mut body: Incoming) -> Feed {
    let (steps, feed) = mpsc::channel(PIECES_IN_FLIGHT);
    tokio::spawn(async move {
        while let Some(frame) = body.frame().await {
            let Ok(frame) = frame else { return };
            if let Ok(data) = frame.into_data()
                && !data.is_empty()
                && steps.send(Step::Data(data)).await.is_err()
            {
                return;
            }
        }
        let _gone = steps.send(Step::End).await;
    });
    feed
}

/// Reads the fields of a multipart body up to its first table, then sends the tables from a task of its own.
pub(crate) async fn pump_multipart(
    body: Incoming,
    boundary: String,
    head: &mut RequestHead,
) -> Result<Feed, Exception> {
    let limit = u64::try_from(FORM_FIELD_BYTES_MAX).unwrap_or(u64::MAX);
    let stream = body.into_data_stream();
    // Tables may have any length; a field is gathered, so it may not.
    let constraints = Constraints::new().size_limit(SizeLimit::new().per_field(u64::MAX));
    let mut parts = Multipart::with_constraints(stream, boundary, constraints);
    let (steps, feed) = mpsc::channel(PIECES_IN_FLIGHT);
    loop {
        let Some(mut field) = parts.next_field().await.map_err(malformed)? else {
            let _gone = steps.send(Step::End).await;
            return Ok(feed);
        };
        let name = field.name().unwrap_or_default().to_owned();
        if field.file_name().is_none() && !head.external.contains_key(&name) {
            head.take_field(&name, gather(&mut field, limit).await?)?;
            continue;
        }
        tokio::spawn(async move {
            let mut tables = 0;
            let mut next = Some((name, field));
            while let Some((name, mut field)) = next {
                tables += 1;
                if tables > EXTERNAL_TABLES_MAX || steps.send(Step::Table(name)).await.is_err() {
                    return;
                }
                if forward(&mut field, &steps).await.is_none() {
                    return;
                }
                drop(field);
                next = match parts.next_field().await {
                    Ok(Some(field)) => Some((field.name().unwrap_or_default().to_owned(), field)),
                    Ok(None) => None,
                    Err(_) => return,
                };
            }
            let _gone = steps.send(Step::End).await;
        });
        return Ok(feed);
    }
}

async fn forward(field: &mut multer::Field<'static>, steps: &mpsc::Sender<Step>) -> Option<()> {
    while let Some(data) = field.next().await {
        steps.send(Step::Data(data.ok()?)).await.ok()?;
    }
    Some(())
}

async fn gather(
    field: &mut (impl Stream<Item = multer::Result<Bytes>> + Unpin),
    limit: u64,
) -> Result<String, Exception> {
    let mut text = Vec::new();
    while let Some(data) = field.next().await {
        text.extend_from_slice(&data.map_err(malformed)?);
        if u64::try_from(text.len()).unwrap_or(u64::MAX) > limit {
            return Err(malformed("a field is longer than 16 MiB"));
        }
    }
    String::from_utf8(text).map_err(malformed)
}

fn malformed(reason: impl std::fmt::Display) -> Exception {
    Exception::of(codes::BAD_ARGUMENTS, "BAD_ARGUMENTS", format!("Malformed multipart body: {reason}"))
}

/// Reads a feed's data as a blocking stream, up to its next table or its end. For query threads only.
pub(crate) struct FeedReader<'f> {
    feed: &'f mut Feed,
    wake: Arc<Notify>,
    data: Bytes,
    /// What stopped the data: the next table's name, or the end.
    stop: Option<Option<String>>,
}

impl<'f> FeedReader<'f> {
    /// Reads from here on; `wake` ends the reading.
    pub(crate) const fn new(feed: &'f mut Feed, wake: Arc<Notify>) -> Self {
        Self { feed, wake, data: Bytes::new(), stop: None }
    }

    /// Skips what is left of this table's data and returns the name of the next one; `None` at the end.
    pub(crate) fn next_table(&mut self) -> io::Result<Option<String>> {
        io::copy(self, &mut io::sink())?;
        match &self.stop {
            Some(Some(_)) => Ok(self.stop.take().flatten()),
            _ => Ok(None),
        }
    }
}

impl FeedReader<'_> {
    fn next_step(&mut self) -> Option<Step> {
        let (feed, wake) = (&mut *self.feed, &*self.wake);
        Handle::current().block_on(async {
            tokio::select! {
                step = feed.recv() => step,
                () = wake.notified() => None,
            }
        })
    }
}

impl Read for FeedReader<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.data.is_empty() && self.stop.is_none() {
            match self.next_step() {
                Some(Step::Data(data)) => self.data = data,
                Some(Step::Table(name)) => self.stop = Some(Some(name)),
                Some(Step::End) => self.stop = Some(None),
                None => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the client went away")),
            }
        }
        let count = out.len().min(self.data.len());
        self.data.copy_to_slice(&mut out[..count]);
        Ok(count)
    }
}
