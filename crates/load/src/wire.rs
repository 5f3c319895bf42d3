/// Appends protobuf fields to a buffer; nested messages are closures, their lengths are filled in afterwards.
pub(crate) trait ProtoWriter {
    fn varint(&mut self, value: u64);
    fn bytes_field(&mut self, field: u32, value: &[u8]);
    fn varint_field(&mut self, field: u32, value: u64);
    fn fixed64_field(&mut self, field: u32, value: u64);
    fn message(&mut self, field: u32, write: impl FnOnce(&mut Self));
}

const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const BYTES: u64 = 2;

impl ProtoWriter for Vec<u8> {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.push((value & 0x7f) as u8);
    }

    fn bytes_field(&mut self, field: u32, value: &[u8]) {
        self.varint(u64::from(field) << 3 | BYTES);
        self.varint(value.len() as u64);
        self.extend_from_slice(value);
    }

    fn varint_field(&mut self, field: u32, value: u64) {
        self.varint(u64::from(field) << 3 | VARINT);
        self.varint(value);
    }

    fn fixed64_field(&mut self, field: u32, value: u64) {
        self.varint(u64::from(field) << 3 | FIXED64);
        self.extend_from_slice(&value.to_le_bytes());
    }

    fn message(&mut self, field: u32, write: impl FnOnce(&mut Self)) {
        self.varint(u64::from(field) << 3 | BYTES);
        let start = self.len();
        write(self);
        let length = self.len() - start;
        let mut prefix = Vec::with_capacity(5);
        prefix.varint(length as u64);
        self.splice(start..start, prefix);
    }
}
