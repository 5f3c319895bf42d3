//! How a request of rows is known when it is sent again.

use sha2::{Digest, Sha256};
use tidegate_model::RetryKey;
use twox_hash::XxHash3_128;

use super::body::{self, Body};
use super::error::RowsError;
use super::schema::Found;
use super::service::{DatasetRequest, RowsFormat};
use crate::catalog::{CanonicalField, CanonicalSchema};

// The seeds keep these hashes apart from those of OTLP requests.
const KEY_SEED: u64 = 0x6461_7461_7365_7473;
const SIGNATURE_SEED: u64 = KEY_SEED + 100;
const PART_SEED: u64 = KEY_SEED + 200;

/// How a request is known again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) retry: RetryKey,
    /// What it is known by, where its requester gave no key.
    pub(super) signature: Option<String>,
}

/// Hashes the key with its dataset. Without a key a request that names its partition is known by its content; rows
/// that name neither may be sent twice on purpose.
pub(super) fn known(request: &DatasetRequest, body: &Body, found: &[Found]) -> Result<Option<Known>, RowsError> {
    let header = request.idempotency_key.clone().map(body::idempotency_key).transpose()?;
    let key = match (header, &body.idempotency_key) {
        (Some(header), Some(own)) if header != *own => {
            let problem = "another one than in the header".to_owned();
            return Err(RowsError::Body { field: "idempotencyKey", problem });
        }
        (Some(key), _) => key,
        (None, Some(key)) => key.clone(),
        (None, None) => return Ok(body.partition.is_given().then(|| by_content(request, body, found))),
    };
    let content_seed = KEY_SEED + 1 + request.format as u64;
    let mut key = XxHash3_128::oneshot_with_seed(KEY_SEED, format!("{}/{key}", request.slug).as_bytes());
    let mut content = XxHash3_128::oneshot_with_seed(content_seed, &request.body);
    if let Some(part) = request.part {
        // The first part has the key itself, so that a small body under the same key meets it.
        if part.number > 0 {
            key ^= XxHash3_128::oneshot_with_seed(PART_SEED, &part.number.to_le_bytes());
        }
        content ^= part.whole;
    }
    if let Some(head) = &request.head {
        content ^= XxHash3_128::oneshot_with_seed(content_seed + 50, head);
    }
    Ok(Some(Known { retry: RetryKey { key, content }, signature: None }))
}

/// Hashes all that a request brings.
pub(super) fn origin(request: &DatasetRequest) -> u128 {
    let seed = SIGNATURE_SEED + 10 + request.format as u64;
    let head = request.head.as_ref().map_or(0, |head| XxHash3_128::oneshot_with_seed(seed + 10, head));
    XxHash3_128::oneshot_with_seed(seed, &request.body) ^ head
}

/// Signs what a request says: dataset, table, schema, partition, time range and rows.
fn by_content(request: &DatasetRequest, body: &Body, found: &[Found]) -> Known {
    let rows = match (request.format, body.rows_at) {
        (RowsFormat::Json, Some((start, end))) => &request.body[start..end],
        _ => &request.body[..],
    };
    let rows = XxHash3_128::oneshot_with_seed(SIGNATURE_SEED + request.format as u64, rows);
    let schema = schema(body, found);
    let partition = &body.partition;
    let told = serde_json::json!([
        request.slug,
        body.table,
        schema.checksum(),
        partition.key,
        partition.attributes,
        partition.range,
        format!("{rows:032x}"),
    ]);
    let signature = Sha256::digest(told.to_string());
    let half: [u8; 16] = signature[..16].try_into().expect("a SHA-256 has 32 bytes");
    let key = u128::from_be_bytes(half);
    Known { retry: RetryKey { key, content: key }, signature: Some(hex::encode(signature)) }
}

/// Returns the schema that the request itself has, whatever the dataset's is by now.
fn schema(body: &Body, found: &[Found]) -> CanonicalSchema {
    let declared = body.schema.iter().flat_map(|schema| &schema.fields);
    let declared = declared.map(|field| CanonicalField { name: field.name.clone(), field_type: field.field_type });
    let inferred = found.iter().filter(|_| body.schema.is_none());
    let inferred = inferred.map(|field| CanonicalField { name: field.name.clone(), field_type: field.field_type });
    let mut fields: Vec<_> = declared.chain(inferred).collect();
    fields.sort_unstable();
    CanonicalSchema { fields }
}
