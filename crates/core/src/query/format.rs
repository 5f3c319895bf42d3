/// A form of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Format {
    /// ClickHouse's name of it.
    pub clickhouse: &'static str,
    /// The media type of the answer.
    pub content_type: &'static str,
}

/// Our words for the forms that requests ask for.
const WORDS: [(&str, &str); 9] = [
    ("json", "JSON"),
    ("ndjson", "JSONEachRow"),
    ("jsonl", "JSONEachRow"),
    ("csv", "CSVWithNames"),
    ("tsv", "TSVWithNames"),
    ("arrow", "ArrowStream"),
    ("parquet", "Parquet"),
    ("table", "PrettyCompactMonoBlock"),
    ("pretty", "PrettyCompactMonoBlock"),
];

const JSON: &str = "application/json; charset=utf-8";
const NDJSON: &str = "application/x-ndjson; charset=utf-8";
const CSV: &str = "text/csv; charset=utf-8; header=present";
const CSV_BARE: &str = "text/csv; charset=utf-8; header=absent";
const TSV: &str = "text/tab-separated-values; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";
const BINARY: &str = "application/octet-stream";

/// The formats of ClickHouse that a `FORMAT` clause may name: those that only write to the answer.
const FORMATS: [Format; 29] = [
    format("JSON", JSON),
    format("JSONStrings", JSON),
    format("JSONCompact", JSON),
    format("JSONCompactStrings", JSON),
    format("JSONColumns", JSON),
    format("JSONEachRow", NDJSON),
    format("JSONCompactEachRow", NDJSON),
    format("JSONCompactEachRowWithNames", NDJSON),
    format("JSONCompactEachRowWithNamesAndTypes", NDJSON),
    format("CSV", CSV_BARE),
    format("CSVWithNames", CSV),
    format("CSVWithNamesAndTypes", CSV),
    format("TSV", TSV),
    format("TSVWithNames", TSV),
    format("TSVWithNamesAndTypes", TSV),
    format("TabSeparated", TSV),
    format("TabSeparatedWithNames", TSV),
    format("ArrowStream", "application/vnd.apache.arrow.stream"),
    format("Parquet", "application/vnd.apache.parquet"),
    format("Native", BINARY),
    format("RowBinary", BINARY),
    format("RowBinaryWithNames", BINARY),
    format("RowBinaryWithNamesAndTypes", BINARY),
    format("Pretty", TEXT),
    format("PrettyCompact", TEXT),
    format("PrettyCompactMonoBlock", TEXT),
    format("PrettyNoEscapes", TEXT),
    format("Vertical", TEXT),
    format("Markdown", TEXT),
];

impl Format {
    /// ClickHouse's `JSON`: an object with `meta`, `data`, `rows`, `statistics`.
    pub const JSON: Self = format("JSON", JSON);

    /// Finds a format by our word (`json`, `csv`, …) or by ClickHouse's name, in any case.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        let name = WORDS.iter().find(|(own, _)| own.eq_ignore_ascii_case(word)).map_or(word, |(_, name)| name);
        Self::of_clause(name)
    }

    /// Finds a format by ClickHouse's name, as a `FORMAT` clause gives it.
    #[must_use]
    pub fn of_clause(name: &str) -> Option<Self> {
        FORMATS.into_iter().find(|format| format.clickhouse.eq_ignore_ascii_case(name))
    }

    /// Lists the words and names that [`Format::named`] knows.
    #[must_use]
    pub fn known() -> String {
        let words = WORDS.iter().map(|(word, _)| *word);
        words.chain(FORMATS.iter().map(|format| format.clickhouse)).collect::<Vec<_>>().join(", ")
    }
}

const fn format(clickhouse: &'static str, content_type: &'static str) -> Format {
    Format { clickhouse, content_type }
}
