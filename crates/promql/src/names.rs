//! How OpenTelemetry's metrics and attributes are named here: as Prometheus' own OTLP receiver does with underscores and
//! suffixes.

/// Units of OpenTelemetry (UCUM) and their words.
const UNITS: [(&str, &str); 26] = [
    ("d", "days"),
    ("h", "hours"),
    ("min", "minutes"),
    ("s", "seconds"),
    ("ms", "milliseconds"),
    ("us", "microseconds"),
    ("ns", "nanoseconds"),
    ("By", "bytes"),
    ("KiBy", "kibibytes"),
    ("MiBy", "mebibytes"),
    ("GiBy", "gibibytes"),
    ("TiBy", "tibibytes"),
    ("KBy", "kilobytes"),
    ("MBy", "megabytes"),
    ("GBy", "gigabytes"),
    ("TBy", "terabytes"),
    ("m", "meters"),
    ("V", "volts"),
    ("A", "amperes"),
    ("J", "joules"),
    ("W", "watts"),
    ("g", "grams"),
    ("Cel", "celsius"),
    ("Hz", "hertz"),
    ("1", ""),
    ("%", "percent"),
];

/// The same behind a slash: `By/s` is bytes per second.
const PER: [(&str, &str); 7] =
    [("s", "second"), ("m", "minute"), ("h", "hour"), ("d", "day"), ("w", "week"), ("mo", "month"), ("y", "year")];

/// Returns the name of a metric: words joined with `_`, its unit, `_total` where it is a counter, `_ratio` where it is a
/// gauge without a unit.
#[must_use]
pub fn metric_name(name: &str, unit: &str, is_counter: bool, is_gauge: bool) -> String {
    let mut words: Vec<String> = words(name).map(str::to_owned).collect();
    let (main, per) = unit.split_once('/').unwrap_or((unit, ""));
    let main = unit_words(main, &UNITS);
    if !main.is_empty() && !words.contains(&main) {
        words.push(main);
    }
    let per = unit_words(per, &PER);
    if !per.is_empty() && !words.contains(&per) {
        words.extend(["per".to_owned(), per]);
    }
    let ending = [("total", is_counter), ("ratio", is_gauge && unit == "1")];
    for (word, _) in ending.iter().filter(|(_, is_meant)| *is_meant) {
        words.retain(|own| own != word);
        words.push((*word).to_owned());
    }
    let joined = words.join("_");
    if joined.starts_with(|c: char| c.is_ascii_digit()) { format!("_{joined}") } else { joined }
}

/// Returns the label of an attribute: what is neither letter, digit nor `_` becomes `_`.
#[must_use]
pub fn label_name(key: &str) -> String {
    let name: String = key.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    if name.starts_with(|c: char| c.is_ascii_digit()) { format!("key_{name}") } else { name }
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != ':').filter(|word| !word.is_empty())
}

/// Returns a unit in words; what is in braces is a remark, no unit.
fn unit_words(unit: &str, known: &[(&str, &str)]) -> String {
    let unit = unit.trim();
    if unit.contains(['{', '}']) {
        return String::new();
    }
    let word = known.iter().find(|(own, _)| *own == unit).map_or(unit, |(_, word)| word);
    words(word).collect::<Vec<_>>().join("_")
}
