//! Walks a JSON text along the table of messages and writes protobuf as it goes.

use tidegate_model::limits::{REQUEST_INFLATED_BYTES_MAX, VALUE_DEPTH_MAX};

use super::dropped::{Dropped, DroppedMark};
use super::messages::{ANY_VALUE, Field, Kind, Message, Role, Shape};
use super::scalar;
use super::scan::{Scanner, SyntaxError, Text, Value};
use crate::ingest::wire::Writer;
use crate::ingest::{Reason, Rejection, Rejections};

/// Why reading stopped where it did.
#[derive(Debug)]
pub(super) enum Fault {
    /// The text is not JSON: nothing behind it can be trusted.
    Syntax(SyntaxError),
    /// A value that its field cannot hold: falls with its record, or with its container.
    Misfit(Misfit),
    /// Something else stands where records belong, so nobody can say how many are lost.
    Structure(Misfit),
    /// The protobuf form grew past the limit of a request.
    TooLarge,
}

/// A value that does not fit, and the path to it from where the error is handled.
#[derive(Debug)]
pub(super) struct Misfit {
    pub(super) reason: Reason,
    pub(super) path: String,
    pub(super) problem: String,
}

impl Misfit {
    fn wrong_type(value: Value<'_>, wanted: &str) -> Self {
        let problem = format!("{} instead of {wanted}", value.kind());
        Self { reason: Reason::InvalidType, path: String::new(), problem }
    }

    fn within(mut self, step: &str) -> Self {
        let separator = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        self.path = format!("{step}{separator}{}", self.path);
        self
    }
}

impl Fault {
    pub(super) fn misfit(reason: Reason, problem: impl Into<String>) -> Self {
        Self::Misfit(Misfit { reason, path: String::new(), problem: problem.into() })
    }

    pub(super) fn wrong_type(value: Value<'_>, wanted: &str) -> Self {
        Self::Misfit(Misfit::wrong_type(value, wanted))
    }

    fn within(self, step: &str) -> Self {
        match self {
            Self::Misfit(misfit) => Self::Misfit(misfit.within(step)),
            Self::Structure(_) | Self::Syntax(_) | Self::TooLarge => self,
        }
    }
}

impl From<SyntaxError> for Fault {
    fn from(error: SyntaxError) -> Self {
        Self::Syntax(error)
    }
}

/// One request on its way from JSON to protobuf.
pub(super) struct Transcoder<'a> {
    scan: Scanner<'a>,
    /// The body is valid UTF-8 as a whole, so that its strings need no check of their own.
    is_utf8: bool,
    pub(super) out: Writer,
    /// Records seen, in the order of the request.
    records: u64,
    pub(super) dropped: Dropped,
    pub(super) rejections: Rejections,
    /// The way from the request to the current record; its last step has no index yet.
    trail: Vec<Step>,
    /// Nesting of attribute values.
    depth: usize,
    /// Set inside a container that was refused: its records are counted, not written.
    refusal: Option<(Reason, String)>,
}

#[derive(Debug, Clone, Copy)]
struct Step {
    field: &'static str,
    index: Option<usize>,
}

/// Where a container or record begins, to go back to.
struct Mark {
    at: usize,
    written: usize,
    records: u64,
    dropped: DroppedMark,
    rejected: [u64; Reason::ALL.len()],
    listed: usize,
}

impl<'a> Transcoder<'a> {
    pub(super) fn new(body: &'a [u8]) -> Self {
        Self {
            scan: Scanner::new(body),
            is_utf8: std::str::from_utf8(body).is_ok(),
            out: Writer::new(),
            records: 0,
            dropped: Dropped::default(),
            rejections: Rejections::default(),
            trail: Vec::new(),
            depth: 0,
            refusal: None,
        }
    }

    /// Transcodes the request, whose message is `root`.
    pub(super) fn request(&mut self, root: &'static Message) -> Result<(), Fault> {
        let value = self.scan.value()?;
        if value != Value::Object {
            return Err(self.structure_fault(value, "a JSON object"));
        }
        self.message(root)?;
        Ok(self.scan.finish()?)
    }

    /// Writes the fields of a message; the scanner stands at its opening bracket.
    fn message(&mut self, message: &'static Message) -> Result<(), Fault> {
        self.scan.open();
        let (mut is_first, mut has_alternative) = (true, false);
        while let Some(name) = self.scan.next_member(&mut is_first)? {
            let Some(field) = find_field(message, name) else {
                self.scan.skip()?;
                continue;
            };
            if self.refusal.is_some() && !holds_records(field) {
                self.scan.skip()?;
            } else {
                self.field(field, &mut has_alternative)?;
            }
        }
        Ok(())
    }

    fn field(&mut self, field: &'static Field, has_alternative: &mut bool) -> Result<(), Fault> {
        let value = self.scan.value()?;
        if value == Value::Null {
            return Ok(());
        }
        if field.shape == Shape::Alternative && std::mem::replace(has_alternative, true) && self.refusal.is_none() {
            return Err(Fault::misfit(Reason::InvalidType, "another alternative of this field has a value too")
                .within(field.name));
        }
        if holds_records(field) {
            self.trail.push(Step { field: field.name, index: None });
            let outcome = self.record_field(field, value);
            self.trail.pop();
            return outcome;
        }
        let outcome = match field.shape {
            Shape::One | Shape::Alternative => self.one(field, value),
            Shape::Many => self.many(field, value),
            Shape::Packed => self.packed(field, value),
        };
        outcome.map_err(|fault| fault.within(field.name))
    }

    /// Handles a field whose message is a record or holds records.
    fn record_field(&mut self, field: &'static Field, value: Value<'a>) -> Result<(), Fault> {
        let Kind::Child(message) = field.kind else { return Ok(()) };
        if field.shape != Shape::Many {
            return self.contained(field, message, value);
        }
        if value != Value::Array {
            return Err(self.structure_fault(value, "an array"));
        }
        self.scan.open();
        let (mut is_first, mut index) = (true, 0);
        while self.scan.next_element(&mut is_first)? {
            if let Some(step) = self.trail.last_mut() {
                step.index = Some(index);
            }
            let start = self.scan.at;
            let value = self.scan.value()?;
            match message.role {
                Role::Record => self.record(field, message, value, start)?,
                Role::Container | Role::Part => self.contained(field, message, value)?,
            }
            index += 1;
        }
        Ok(())
    }

    /// Writes a container; a fault in its own fields rejects every record in it.
    fn contained(&mut self, field: &Field, message: &'static Message, value: Value<'a>) -> Result<(), Fault> {
        if value != Value::Object {
            return Err(self.structure_fault(value, "an object"));
        }
        let mark = self.mark(self.scan.at);
        match self.child(field, message) {
            Err(Fault::Misfit(misfit)) => {
                self.go_back(mark);
                self.refusal = Some(self.refusal_of(misfit));
                let recount = self.message(message);
                self.refusal = None;
                recount
            }
            outcome => outcome,
        }
    }

    /// Writes a record, or rejects it.
    fn record(
        &mut self,
        field: &Field,
        message: &'static Message,
        value: Value<'a>,
        start: usize,
    ) -> Result<(), Fault> {
        if self.out.position() > REQUEST_INFLATED_BYTES_MAX {
            return Err(Fault::TooLarge);
        }
        let index = self.records;
        self.records += 1;
        let written = self.out.position();
        let Some((reason, detail)) = self.refused(field, message, value)? else { return Ok(()) };
        self.out.truncate(written);
        self.scan.at = start;
        self.depth = 0;
        self.scan.skip()?;
        // The last step is the list of the record; the one before is what holds the list.
        self.dropped.add(index, self.trail.iter().nth_back(1).map_or("", |step| step.field));
        self.rejections.push(Rejection::new(index, reason, detail));
        Ok(())
    }

    /// Writes a record; returns why it is rejected, if it is.
    fn refused(
        &mut self,
        field: &Field,
        message: &'static Message,
        value: Value<'a>,
    ) -> Result<Option<(Reason, String)>, Fault> {
        if let Some(refusal) = &self.refusal {
            return Ok(Some(refusal.clone()));
        }
        if value != Value::Object {
            return Ok(Some(self.refusal_of(Misfit::wrong_type(value, "an object"))));
        }
        match self.child(field, message) {
            Ok(()) => Ok(None),
            Err(Fault::Misfit(misfit)) => Ok(Some(self.refusal_of(misfit))),
            Err(fault) => Err(fault),
        }
    }

    fn one(&mut self, field: &Field, value: Value<'a>) -> Result<(), Fault> {
        match field.kind {
            Kind::Child(message) => match value {
                Value::Object => self.child(field, message),
                other => Err(Fault::wrong_type(other, "an object")),
            },
            _ => scalar::write(&mut self.out, field, value, self.is_utf8),
        }
    }

    fn many(&mut self, field: &Field, value: Value<'a>) -> Result<(), Fault> {
        self.elements(value, |this, value| match (&field.kind, value) {
            // An attribute value without a value is `{}` in protobuf; some producers write it as `null` in arrays.
            (Kind::Child(message), Value::Null) if std::ptr::eq(*message, &ANY_VALUE) => {
                this.out.bytes(field.number, b"");
                Ok(())
            }
            _ => this.one(field, value),
        })
    }

    fn packed(&mut self, field: &Field, value: Value<'a>) -> Result<(), Fault> {
        let length = self.out.begin(field.number);
        self.elements(value, |this, value| scalar::write_packed(&mut this.out, &field.kind, value))?;
        self.out.end(length);
        Ok(())
    }

    fn elements(
        &mut self,
        value: Value<'a>,
        mut each: impl FnMut(&mut Self, Value<'a>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        if value != Value::Array {
            return Err(Fault::wrong_type(value, "an array"));
        }
        self.scan.open();
        let (mut is_first, mut index) = (true, 0_usize);
        while self.scan.next_element(&mut is_first)? {
            let value = self.scan.value()?;
            each(self, value).map_err(|fault| fault.within(&format!("[{index}]")))?;
            index += 1;
        }
        Ok(())
    }

    /// Writes a nested message with its length before it.
    fn child(&mut self, field: &Field, message: &'static Message) -> Result<(), Fault> {
        let is_value = std::ptr::eq(message, &ANY_VALUE);
        if is_value && self.depth == VALUE_DEPTH_MAX {
            return Err(Fault::misfit(
                Reason::TooDeep,
                format!("attribute values are nested deeper than {VALUE_DEPTH_MAX} levels"),
            ));
        }
        self.depth += usize::from(is_value);
        let length = self.out.begin(field.number);
        self.message(message)?;
        self.out.end(length);
        self.depth -= usize::from(is_value);
        Ok(())
    }

    fn mark(&self, at: usize) -> Mark {
        Mark {
            at,
            written: self.out.position(),
            records: self.records,
            dropped: self.dropped.mark(),
            rejected: self.rejections.counts,
            listed: self.rejections.listed.len(),
        }
    }

    fn go_back(&mut self, mark: Mark) {
        self.scan.at = mark.at;
        self.out.truncate(mark.written);
        self.records = mark.records;
        self.dropped.go_back(mark.dropped);
        self.rejections.counts = mark.rejected;
        self.rejections.listed.truncate(mark.listed);
        self.depth = 0;
    }

    fn refusal_of(&self, misfit: Misfit) -> (Reason, String) {
        let Misfit { reason, path, problem } = self.on_trail(misfit);
        (reason, format!("{path}: {problem}"))
    }

    fn structure_fault(&self, value: Value<'_>, wanted: &str) -> Fault {
        Fault::Structure(self.on_trail(Misfit::wrong_type(value, wanted)))
    }

    fn on_trail(&self, misfit: Misfit) -> Misfit {
        self.trail.iter().rev().fold(misfit, |misfit, step| match step.index {
            Some(index) => misfit.within(&format!("{}[{index}]", step.field)),
            None => misfit.within(step.field),
        })
    }
}

fn holds_records(field: &Field) -> bool {
    matches!(field.kind, Kind::Child(message) if message.role != Role::Part)
}

fn find_field(message: &Message, name: Text<'_>) -> Option<&'static Field> {
    if name.is_escaped { message.field(&name.bytes()?) } else { message.field(name.raw) }
}
