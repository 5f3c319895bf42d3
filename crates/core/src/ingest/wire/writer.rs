use super::{fixed32, fixed64, len, varint, zigzag};

/// Writes one message and the messages nested in it. Zeros are written too: whether a field is worth sending is
/// the caller's to say.
#[derive(Debug, Default)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// Starts an empty message.
    #[must_use]
    pub const fn new() -> Self {
        Self { bytes: Vec::new() }
    }

    /// Returns the bytes written.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Returns the number of bytes written so far, to come back to with [`Writer::truncate`].
    #[must_use]
    pub const fn position(&self) -> usize {
        self.bytes.len()
    }

    /// Takes back what was written behind a position, within the message that is being written.
    pub fn truncate(&mut self, position: usize) {
        self.bytes.truncate(position);
    }

    /// Writes a number as `uint32`, `uint64` or bool.
    pub fn uint(&mut self, field: u32, value: u64) {
        self.raw(u64::from(varint(field)));
        self.raw(value);
    }

    /// Writes a number as `int32`, `int64` or an enum: negative ones take ten bytes.
    pub fn int(&mut self, field: u32, value: i64) {
        self.uint(field, value.cast_unsigned());
    }

    /// Writes a number as `sint32`.
    pub fn sint(&mut self, field: u32, value: i32) {
        self.uint(field, u64::from(zigzag(value)));
    }

    /// Writes a number as `fixed64` or `sfixed64`.
    pub fn fixed64(&mut self, field: u32, value: u64) {
        self.raw(u64::from(fixed64(field)));
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    /// Writes a number as `fixed32`.
    pub fn fixed32(&mut self, field: u32, value: u32) {
        self.raw(u64::from(fixed32(field)));
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    /// Writes a double.
    pub fn double(&mut self, field: u32, value: f64) {
        self.fixed64(field, value.to_bits());
    }

    /// Writes text or bytes.
    pub fn bytes(&mut self, field: u32, value: &[u8]) {
        self.raw(u64::from(len(field)));
        self.raw(value.len() as u64);
        self.bytes.extend_from_slice(value);
    }

    /// Writes a packed element of a repeated varint field; call it within [`Writer::message`].
    pub fn packed_varint(&mut self, value: u64) {
        self.raw(value);
    }

    /// Writes a packed element of a repeated eight-byte field; call it within [`Writer::message`].
    pub fn packed_fixed64(&mut self, value: u64) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    /// Writes a nested message, whose fields `write` writes, or a run of packed numbers.
    pub fn message<T>(&mut self, field: u32, write: impl FnOnce(&mut Self) -> T) -> T {
        let mark = self.begin(field);
        let result = write(self);
        self.end(mark);
        result
    }

    /// Starts a nested message; [`Writer::end`] takes what this returns.
    #[must_use]
    pub fn begin(&mut self, field: u32) -> usize {
        self.raw(u64::from(len(field)));
        self.bytes.push(0);
        self.bytes.len()
    }

    /// Ends the nested message that [`Writer::begin`] started: its length goes before it.
    pub fn end(&mut self, mark: usize) {
        let length = (self.bytes.len() - mark) as u64;
        if let Ok(short @ 0..0x80) = u8::try_from(length) {
            self.bytes[mark - 1] = short;
            return;
        }
        let mut prefix = Self::new();
        prefix.raw(length);
        self.bytes.splice(mark - 1..mark, prefix.bytes);
    }

    fn raw(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.bytes.push(value.to_le_bytes()[0] | 0x80);
            value >>= 7;
        }
        self.bytes.push(value.to_le_bytes()[0]);
    }
}
