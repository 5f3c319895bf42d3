use proptest::prelude::*;
use tidegate_model::{Seq, TableName};

use crate::query::min_watermarks;

fn check(text: &str, named: &[&str], expect: Result<&[(&str, u64)], &str>) {
    let named: Vec<TableName> = named.iter().map(|name| name.parse().expect("a name")).collect();
    let read = min_watermarks(text, &named);
    match (read, expect) {
        (Ok(read), Ok(wanted)) => {
            let read: Vec<_> = read.iter().map(|(table, Seq(seq))| (table.as_str(), *seq)).collect();
            assert_eq!(read, wanted);
        }
        (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{error}"),
        (read, expect) => panic!("`{text}` gave {read:?}, not {expect:?}"),
    }
}

#[test]
fn watermarks_are_pairs_or_one_number() {
    check("7", &["logs"], Ok(&[("logs", 7)]));
    check(" logs = 7 ,spans=8", &["spans", "logs"], Ok(&[("logs", 7), ("spans", 8)]));
    check("logs=7,spans=8", &["spans"], Ok(&[("spans", 8)]));
    check("7", &["logs", "spans"], Err("names 2"));
    check("7", &[], Err("names 0"));
    for wrong in ["", "logs", "logs=", "logs=x", "logs=-1", "LOGS=1", "logs=1,", "logs=1;spans=2"] {
        check(wrong, &["logs"], Err("`table=number`"));
    }
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in any::<String>(), pairs in "[a-z=0-9,]{0,20}") {
        let named = ["logs".parse().expect("a name")];
        for text in [text, pairs] {
            drop(min_watermarks(&text, &named));
        }
    }
}
