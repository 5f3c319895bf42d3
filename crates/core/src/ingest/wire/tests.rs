use proptest::prelude::*;

use super::{Reader, WireError, WireFault, Writer, fixed32, fixed64, len, unzigzag, varint, zigzag};

#[test]
fn what_was_written_reads_back() {
    let mut w = Writer::new();
    w.uint(1, u64::MAX);
    w.int(2, -1);
    w.sint(3, i32::MIN);
    w.fixed64(4, 7);
    w.fixed32(500, 8);
    w.double(6, -0.0);
    w.message(7, |w| w.bytes(1, &[9; 200]));
    let bytes = w.into_bytes();
    let mut r = Reader::new(&bytes);
    assert_eq!((r.tag(), r.varint()), (Ok(Some(varint(1))), Ok(u64::MAX)));
    assert_eq!((r.tag(), r.varint32()), (Ok(Some(varint(2))), Ok(u32::MAX)));
    assert_eq!((r.tag(), r.varint32().map(unzigzag)), (Ok(Some(varint(3))), Ok(i32::MIN)));
    assert_eq!((r.tag(), r.fixed64()), (Ok(Some(fixed64(4))), Ok(7)));
    assert_eq!((r.tag(), r.fixed32()), (Ok(Some(fixed32(500))), Ok(8)));
    assert_eq!((r.tag(), r.double().map(f64::to_bits)), (Ok(Some(fixed64(6))), Ok((-0.0_f64).to_bits())));
    assert_eq!(r.tag(), Ok(Some(len(7))));
    let mut inner = r.message().unwrap();
    assert_eq!((inner.tag(), inner.bytes()), (Ok(Some(len(1))), Ok([9_u8; 200].as_slice())));
    assert!(inner.is_done() && r.is_done());
}

fn check_fault(bytes: &[u8], offset: usize, fault: WireFault) {
    let mut reader = Reader::new(bytes);
    let mut walk = || -> Result<(), WireError> {
        while let Some(tag) = reader.tag()? {
            reader.skip(tag, 1 << 9)?;
        }
        Ok(())
    };
    assert_eq!(walk(), Err(WireError { offset, fault }));
}

#[test]
fn faults_say_what_and_where() {
    check_fault(&[0x0a, 5, 1, 2], 1, WireFault::Truncated);
    check_fault(&[0x08, 1, 0x0d, 1, 2, 3], 3, WireFault::Truncated);
    check_fault(&[0x08, 0x80], 1, WireFault::Truncated);
    check_fault(&[[0x08].as_slice(), &[0xff; 10]].concat(), 1, WireFault::LongVarint);
    check_fault(&[[0x08].as_slice(), &[0xff; 9], &[2]].concat(), 1, WireFault::LongVarint);
    check_fault(&[0x00, 1], 0, WireFault::FieldNumber);
    check_fault(&[0xff, 0xff, 0xff, 0xff, 0x7f], 0, WireFault::FieldNumber);
    check_fault(&[0x0b], 1, WireFault::WireType);
    check_fault(&[0x4d, 0, 0, 0, 0], 1, WireFault::WrongType(9));
}

#[test]
fn packed_numbers_must_fill_their_length() {
    let mut reader = Reader::new(&[9, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    let fault = reader.repeated_fixed64(len(1), drop);
    assert_eq!(fault, Err(WireError { offset: 0, fault: WireFault::Packed }));
}

proptest! {
    #[test]
    fn numbers_survive(value: u64, field in 1_u32..1 << 29, signed: i32) {
        let mut w = Writer::new();
        w.uint(field, value);
        let bytes = w.into_bytes();
        let mut r = Reader::new(&bytes);
        prop_assert_eq!((r.tag(), r.varint()), (Ok(Some(varint(field))), Ok(value)));
        prop_assert_eq!(unzigzag(zigzag(signed)), signed);
    }
}
