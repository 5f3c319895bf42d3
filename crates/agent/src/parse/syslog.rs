use super::{Context, of_syslog, time};
use crate::rows::{LogRow, Value};

pub(super) fn read(text: &str, row: &mut LogRow, context: Context) -> Result<(), &'static str> {
    let rest = match text.strip_prefix('<') {
        Some(rest) => priority(rest, row)?,
        // Daemons leave the priority out of files.
        None => text,
    };
    match rest.strip_prefix("1 ") {
        Some(rest) if rest.len() < text.len() => rfc_5424(rest, row, context),
        _ => rfc_3164(rest, row, context),
    }
}

fn priority<'a>(text: &'a str, row: &mut LogRow) -> Result<&'a str, &'static str> {
    let (number, rest) = text.split_once('>').ok_or("the priority is not closed")?;
    let number: u8 = number.parse().ok().filter(|number| *number < 192).ok_or("the priority is not 0 to 191")?;
    let (severity, name) = of_syslog(number % 8);
    row.severity = severity;
    name.clone_into(&mut row.severity_text);
    row.attributes.push(("syslog.facility".to_owned(), Value::Int(i64::from(number / 8))));
    Ok(rest)
}

/// `TIME HOST APP PROCID MSGID [id name="value"…] MESSAGE`, `-` for what is absent.
fn rfc_5424(text: &str, row: &mut LogRow, context: Context) -> Result<(), &'static str> {
    let mut words = text.splitn(6, ' ');
    let mut word = || words.next().ok_or("it ends before its message");
    let at = word()?;
    if at != "-" {
        row.time = Some(time::read(at, context.zone, context.now).ok_or("the time is not one of RFC 5424")?);
    }
    for name in ["syslog.hostname", "syslog.appname", "syslog.procid", "syslog.msgid"] {
        put(row, name, word()?);
    }
    let rest = word()?;
    let rest = match rest.strip_prefix('-') {
        Some(rest) => rest,
        None => structured(rest, row)?,
    };
    row.body = rest.trim_start().trim_start_matches('\u{feff}').to_owned();
    Ok(())
}

fn structured<'a>(mut text: &'a str, row: &mut LogRow) -> Result<&'a str, &'static str> {
    const BROKEN: &str = "the structured data is broken";
    if !text.starts_with('[') {
        return Err(BROKEN);
    }
    while let Some(element) = text.strip_prefix('[') {
        let end = element.find([' ', ']']).ok_or(BROKEN)?;
        let id = &element[..end];
        let mut rest = &element[end..];
        while let Some(pair) = rest.strip_prefix(' ') {
            let (name, quoted) = pair.split_once("=\"").ok_or(BROKEN)?;
            let (value, behind) = unquoted(quoted).ok_or(BROKEN)?;
            row.attributes.push((format!("syslog.structured_data.{id}.{name}"), Value::Text(value)));
            rest = behind;
        }
        text = rest.strip_prefix(']').ok_or(BROKEN)?;
    }
    Ok(text)
}

fn unquoted(text: &str) -> Option<(String, &str)> {
    let mut out = String::new();
    let mut chars = text.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return Some((out, &text[at + 1..])),
            '\\' => match chars.next()? {
                (_, escaped @ ('"' | '\\' | ']')) => out.push(escaped),
                (_, other) => out.extend(['\\', other]),
            },
            other => out.push(other),
        }
    }
    None
}

/// `Jan  2 15:04:05 HOST TAG[PID]: MESSAGE`, or with a time of ISO 8601.
fn rfc_3164(text: &str, row: &mut LogRow, context: Context) -> Result<(), &'static str> {
    let found = time::without_year(text, context.zone, context.now).or_else(|| time::dated(text, context.zone));
    let (at, rest) = found.ok_or("no time of RFC 3164 or RFC 5424")?;
    row.time = Some(at);
    let rest = rest.strip_prefix(' ').ok_or("nothing follows the time")?;
    let (host, rest) = rest.split_once(' ').ok_or("nothing follows the host")?;
    put(row, "syslog.hostname", host);
    let end = rest.find([':', ' ']).unwrap_or(rest.len());
    match rest[end..].strip_prefix(':') {
        Some(message) => {
            let (tag, pid) = rest[..end].split_once('[').unwrap_or((&rest[..end], ""));
            put(row, "syslog.appname", tag);
            put(row, "syslog.procid", pid.trim_end_matches(']'));
            message.strip_prefix(' ').unwrap_or(message).clone_into(&mut row.body);
        }
        None => rest.clone_into(&mut row.body),
    }
    Ok(())
}

fn put(row: &mut LogRow, name: &str, value: &str) {
    if !value.is_empty() && value != "-" {
        row.attributes.push((name.to_owned(), Value::Text(value.to_owned())));
    }
}
