use arrow_buffer::Buffer;
use bytes::Bytes;
use tidegate_model::limits::SENT_COPIED_BYTES_MAX;

/// A stream in pieces: large buffers stay where they are, small ones are copied together.
#[derive(Debug, Default)]
pub struct Gathered {
    done: Vec<Bytes>,
    small: Vec<u8>,
}

impl Gathered {
    /// Adds a buffer.
    pub fn push(&mut self, buffer: Buffer) {
        if buffer.len() < SENT_COPIED_BYTES_MAX {
            self.small.extend_from_slice(&buffer);
            return;
        }
        self.end_small();
        self.done.push(Bytes::from_owner(buffer));
    }

    fn end_small(&mut self) {
        if !self.small.is_empty() {
            self.done.push(Bytes::from(std::mem::take(&mut self.small)));
        }
    }

    /// Returns what was added, in its order.
    #[must_use]
    pub fn finish(mut self) -> Vec<Bytes> {
        self.end_small();
        self.done
    }
}
