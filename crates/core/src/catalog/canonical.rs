use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tidegate_model::{FieldType, TableSpec};

/// A schema in the one form in which it can be compared: its fields in the order of their names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CanonicalSchema {
    /// The fields; columns of ours are not among them.
    pub fields: Vec<CanonicalField>,
}

/// One field.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CanonicalField {
    /// Its name.
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub field_type: FieldType,
}

impl CanonicalSchema {
    /// Returns the schema of a dataset's table.
    #[must_use]
    pub fn of(spec: &TableSpec) -> Self {
        let field = |field_type, name: &str| CanonicalField { name: name.to_owned(), field_type };
        let named = spec.columns.iter().filter_map(|column| Some(field(FieldType::of(column)?, &column.name)));
        let mut fields: Vec<_> = named.collect();
        fields.sort_unstable();
        Self { fields }
    }

    /// Returns the SHA-256 of its JSON, in hex.
    #[must_use]
    pub fn checksum(&self) -> String {
        let text = serde_json::to_vec(self).expect("names and words become JSON");
        hex::encode(Sha256::digest(text))
    }
}

#[cfg(test)]
mod tests {
    use tidegate_model::{ColumnKind, ColumnSpec};

    use super::*;

    #[test]
    fn the_order_of_columns_and_those_of_ours_do_not_count() {
        let columns = [ColumnSpec::new("b", ColumnKind::Text), ColumnSpec::new("a", ColumnKind::Date)];
        let schema =
            |columns: Vec<ColumnSpec>| CanonicalSchema::of(&TableSpec::new("t".parse().expect("a name"), columns));
        let one = schema(columns.to_vec());
        let ours = ColumnSpec::new("_partition_key", ColumnKind::Word);
        let other = schema([ours].into_iter().chain(columns.into_iter().rev()).collect());
        assert_eq!((&one, one.checksum()), (&other, other.checksum()));
        expect_test::expect![[r#"{"fields":[{"name":"a","type":"date"},{"name":"b","type":"string"}]}"#]]
            .assert_eq(&serde_json::to_string(&one).expect("JSON"));
        assert_ne!(one.checksum(), schema(Vec::new()).checksum());
    }
}
