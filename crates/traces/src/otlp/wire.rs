use crate::Invalid;

/// One field of a protobuf message.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Field<'b> {
    /// A varint.
    Number(u64),
    /// Eight bytes.
    Fixed(u64),
    /// A text, bytes, or a message.
    Bytes(&'b [u8]),
    /// Four bytes: no field that is read here has them.
    Short,
}

/// Reads the fields of a protobuf message one after the other.
#[derive(Debug, Clone, Copy)]
pub(super) struct Message<'b> {
    rest: &'b [u8],
    whole: usize,
}

impl<'b> Message<'b> {
    pub(super) const fn of(bytes: &'b [u8]) -> Self {
        Self { rest: bytes, whole: bytes.len() }
    }

    /// Returns the next field with its number; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<(u64, Field<'b>)>, Invalid> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let field = match tag & 7 {
            0 => Field::Number(self.varint()?),
            1 => Field::Fixed(self.fixed()?),
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| self.wrong("a length beyond the body"))?;
                Field::Bytes(self.take(length)?)
            }
            5 => {
                self.take(4)?;
                Field::Short
            }
            _ => return Err(self.wrong("a field of a kind that there is not")),
        };
        Ok(Some((tag >> 3, field)))
    }

    fn varint(&mut self) -> Result<u64, Invalid> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?[0];
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(self.wrong("a number of more than ten bytes"))
    }

    fn fixed(&mut self) -> Result<u64, Invalid> {
        let bytes = self.take(8)?.try_into().map_err(|_| self.wrong("eight bytes"))?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn take(&mut self, count: usize) -> Result<&'b [u8], Invalid> {
        let (taken, rest) =
            self.rest.split_at_checked(count).ok_or_else(|| self.wrong("the message ends too early"))?;
        self.rest = rest;
        Ok(taken)
    }

    fn wrong(&self, problem: &str) -> Invalid {
        let place = format!("byte {} of a message", self.whole - self.rest.len());
        Invalid::at(place, format!("no protobuf: {problem}"), "send an ExportTraceServiceRequest as protobuf")
    }
}
